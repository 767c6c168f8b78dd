/* The flow of a velocity that is continuous and piecewise affine, and its derivative, on one
 * thread. The formulas, and what is called how, are those of geometry/cpab.py; there an operator
 * passes over all points, here eight points pass through all operators.
 *
 * The numbers do not depend on who else is in the batch, nor, with a fused multiply-add, on the
 * processor.
 */
#include <stdint.h>
#include <string.h>

#include "lanes.h"
#include "paths.h"

#define MAX_CELLS 256
#define NEVER 2.0f
#define LEAST 1e-12f /* a speed, and a ratio of two */
#define MOST_GROWTH 60.0f
#define ALIKE 0.0025f /* (difference / sum) squared below it: by a series instead of a quotient */

INLINE ints choose_int(ints where, ints yes, ints no) { return (where & yes) | (~where & no); }

INLINE ints between(ints low, ints number, ints high)
{
    number = choose_int(number < low, low, number);
    return choose_int(number > high, high, number);
}

INLINE vec to_floats(ints numbers) { return __builtin_convertvector(numbers, vec); }

INLINE vec look_up(const float *table, ints places)
{
    vec found;
    for (int i = 0; i < LANES; i++)
        found[i] = table[places[i]];
    return found;
}

/* --- functions of one number ---------------------------------------------------------------- */

/* Of a positive number that is not subnormal: of its mantissa, by 2 artanh((m - 1) / (m + 1)). */
INLINE vec logarithm(vec x)
{
    const ints exponent = ((ints)x - 0x3f3504f3) >> 23; /* m is from 0.707 to 1.414 */
    const vec m = (vec)((ints)x - (exponent << 23));
    const vec s = (m - 1) / (m + 1), s2 = s * s;
    const vec series = 1.0f / 3 + s2 * (1.0f / 5 + s2 * (1.0f / 7 + s2 * (1.0f / 9)));
    return to_floats(exponent) * 0.69314718f + 2 * (s + s * s2 * series);
}

/* (exp(q) - 1) / q, its derivative, and exp(q) */
typedef struct {
    vec value, slope, power;
} Growth;

INLINE Growth growth_of(vec q)
{
    q = choose(q > MOST_GROWTH, all(MOST_GROWTH), q);
    const vec bounded = choose(q < -80, all(-80), q);
    const vec whole = (bounded * 1.44269504f + 12582912.0f) - 12582912.0f; /* 2^23 + 2^22 rounds */
    const vec r = (bounded - whole * 0.693359375f) + whole * 2.12194440e-4f; /* both: ln 2 */
    const vec value = 1 + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120
        + r * (1.0f / 720 + r * (1.0f / 5040))))));
    const vec slope = 1.0f / 2 + r * (1.0f / 3 + r * (1.0f / 8 + r * (1.0f / 30
        + r * (1.0f / 144 + r * (1.0f / 840 + r * (1.0f / 5760))))));
    const vec two = (vec)((__builtin_convertvector(whole, ints) + 127) << 23); /* to that power */
    const vec power = two + two * r * value;
    const ints small = whole == 0;
    const vec inverse = 1 / choose(small, all(1), q);
    Growth growth = {choose(small, value, (power - 1) * inverse), slope, power};
    growth.slope = choose(small, slope, (power - growth.value) * inverse);
    return growth;
}

/* 1 by the logarithmic mean of two speeds; -1 where a point does not come from one to the other. */
INLINE vec slowness(vec speed, vec there)
{
    const ints comes = (speed > LEAST) & (there > LEAST) & (there > LEAST * speed) &
                       (speed > LEAST * there);
    speed = choose(comes, speed, all(1)), there = choose(comes, there, all(1));
    const vec faster = there - speed, inverse = 1 / (speed + there), u = faster * inverse;
    const vec u2 = u * u;
    const ints alike = u2 < ALIKE;
    const vec series = (2 + u2 * (2.0f / 3 + u2 * (2.0f / 5 + u2 * (2.0f / 7)))) * inverse;
    const vec quotient = logarithm(there / speed) / choose(alike, all(1), faster);
    return choose(comes, choose(alike, series, quotient), all(-1));
}

INLINE vec time_of(vec distance, vec slow)
{
    const vec time = distance * slow;
    return choose((slow < 0) | (time > NEVER), all(NEVER), time);
}

typedef struct {
    vec here, there;
} Pair;

/* The derivatives of `slow`, which is the slowness of two speeds, by these; both times `factor`. */
INLINE Pair slowness_slopes(vec slow, vec speed, vec there, vec factor)
{
    const ints comes = slow > 0;
    speed = choose(comes, speed, all(1)), there = choose(comes, there, all(1));
    factor = choose(comes, factor, all(0));
    const vec faster = there - speed, inverse = 1 / (speed + there), u = faster * inverse;
    const vec u2 = u * u;
    const ints alike = u2 < ALIKE;
    const vec bend = u * (4.0f / 3 + u2 * (8.0f / 5 + u2 * (12.0f / 7))) * inverse * inverse;
    const vec steep = 1 / choose(alike, all(1), faster), even = -slow * inverse;
    return (Pair){
        factor * choose(alike, even - bend * (1 + u), (slow - 1 / speed) * steep),
        factor * choose(alike, even + bend * (1 - u), (1 / there - slow) * steep),
    };
}

/* --- a series --------------------------------------------------------------------------------- */

#define ROOM (MAX_CELLS + LANES) /* the last vector may end beyond the last cell */

/* slopes has a cell at either side, in which there is none */
typedef struct {
    float velocities[ROOM], arrivals[ROOM], slopes[ROOM + 2], slow[ROOM], times[ROOM];
} Series;

INLINE vec *vec_at(float *numbers, int32_t place) { return (vec *)(numbers + place); }

/* 1 where a point goes on, -1 where it goes back. */
INLINE vec way_of(vec velocity) { return choose(velocity > 0, all(1), all(-1)); }

INLINE void prepare(Series *s, const float *velocities, int32_t cells)
{
    memset(s->velocities, 0, sizeof s->velocities);
    memcpy(s->velocities, velocities, (size_t)(cells + 1) * 4);
    for (int32_t k = 0; k < cells; k += LANES) {
        const vec before = *vec_at(s->velocities, k), after = *vec_at(s->velocities, k + 1);
        const vec way = way_of(before), slow = slowness(before * way, after * way);
        *vec_at(s->slow, k) = slow;
        *vec_at(s->times, k) = time_of(all(1.0f / cells), slow);
        *vec_at(s->slopes, k + 1) = (after - before) * (float)cells;
    }
    s->slopes[0] = s->slopes[cells + 1] = s->arrivals[0] = 0;
    for (int32_t k = 0; k < cells; k++)
        s->arrivals[k + 1] = s->arrivals[k] + s->times[k];
}

/* Eight points: where they start, the cells that they end in, and how far they have moved. */
typedef struct {
    vec within, velocity, way, to_exit, exit_velocity, slow, left, speed, moved, bounded;
    ints cell, exit, leaves, last, entry;
    Growth growth;
} Points;

INLINE Points carry(const Series *s, vec at, int32_t cells)
{
    Points p;
    const float width = 1.0f / cells;
    const vec place = at * (float)cells;
    p.cell = between((ints){0}, __builtin_convertvector(place, ints), cells - 1 - (ints){0});
    p.within = place - to_floats(p.cell);
    const vec before = look_up(s->velocities, p.cell), after = look_up(s->velocities, p.cell + 1);
    p.velocity = before + p.within * (after - before);
    const ints forward = p.velocity > 0; /* -1 where it is, as are all comparisons */
    p.way = way_of(p.velocity);
    p.exit = p.cell - forward;
    p.exit_velocity = choose(forward, after, before);
    p.to_exit = choose(forward, 1 - p.within, p.within) * width;
    p.slow = slowness(p.velocity * p.way, p.exit_velocity * p.way);
    const vec time = time_of(p.to_exit, p.slow);
    p.leaves = time < 1;

    const vec ends = look_up(s->arrivals, p.exit) + p.way * (1 - time);
    ints passed = (ints){0} - 1;
    for (int32_t k = 0; k <= cells; k++)
        passed -= s->arrivals[k] <= ends;
    const ints ahead = choose_int(passed > p.cell, passed, p.cell + 1);
    const ints behind = choose_int(passed < p.cell, passed, p.cell - 1);
    p.last = choose_int(p.leaves, choose_int(forward, ahead, behind), p.cell);
    p.entry = between((ints){0}, p.last + 1 + forward, cells - (ints){0});

    p.left = choose(p.leaves, (ends - look_up(s->arrivals, p.entry)) * p.way, all(1));
    p.speed = choose(p.leaves, look_up(s->velocities, p.entry), p.velocity);
    p.growth = growth_of(look_up(s->slopes, p.last + 1) * p.left);
    const vec start = choose(p.leaves, to_floats(p.entry - p.cell) - p.within, all(0)) * width;
    p.moved = start + p.speed * p.left * p.growth.value;
    const vec low = (to_floats(p.last - p.cell) - p.within) * width;
    const vec high = (to_floats(p.last + 1 - p.cell) - p.within) * width;
    const ints outside = (p.last < 0) | (p.last == cells);
    p.bounded = choose((p.moved < low) & ~outside, low, p.moved);
    p.bounded = choose((p.moved > high) & ~outside, high, p.bounded);
    return p;
}

/* --- all series ------------------------------------------------------------------------------- */

/* at_stride: 0 where all series have the same points */
typedef struct {
    int64_t series, cells, points, at_stride;
} Shape;

INLINE void forward(Shape shape, const float *velocities, const float *at, float *moved)
{
    Series s;
    const int32_t cells = (int32_t)shape.cells;
    for (int64_t n = 0; n < shape.series; n++, velocities += cells + 1, at += shape.at_stride) {
        prepare(&s, velocities, cells);
        for (int64_t i = 0; i < shape.points; i += LANES) {
            const int64_t there = shape.points - i < LANES ? shape.points - i : LANES;
            const vec found = carry(&s, read(at + i, there), cells).bounded;
            memcpy(moved, &found, (size_t)there * 4);
            moved += there;
        }
    }
}

/* What a series' points have for its velocities: at the knot before a cell and the one after it,
 * for slopes (with a cell at either side), and for the times in which cells are crossed. Those of
 * a point are a row of cells: added where it begins, taken away where it ends. */
typedef struct {
    double before[MAX_CELLS + 1], after[MAX_CELLS + 1], slopes[MAX_CELLS + 2], times[MAX_CELLS + 1];
} Sums;

INLINE void add_up(Sums *sums, const Points *p, vec grad, int64_t there)
{
    grad = choose(p->moved == p->bounded, grad, all(0)); /* a clamp has no derivative */
    const vec of_speed = grad * p->left * p->growth.value;
    const vec of_left = choose(p->leaves, grad * p->speed * p->growth.power, all(0));
    const Pair by = slowness_slopes(p->slow, p->velocity * p->way, p->exit_velocity * p->way,
                                    -of_left * p->way * p->to_exit);
    const vec of_velocity = choose(p->leaves, by.here, of_speed);
    const vec of_after = of_velocity * p->within, of_before = of_velocity - of_after;
    const ints forward = p->velocity > 0;
    const vec before = of_before + choose(forward, all(0), by.there);
    const vec after = of_after + choose(forward, by.there, all(0));
    const vec slope = grad * p->speed * p->left * p->left * p->growth.slope;
    for (int i = 0; i < there; i++) {
        sums->before[p->cell[i]] += before[i];
        sums->after[p->cell[i]] += after[i];
        sums->slopes[p->last[i] + 1] += slope[i];
        if (p->leaves[i]) {
            const int32_t exit = p->exit[i], entry = p->entry[i];
            sums->before[entry] += of_speed[i];
            sums->times[exit < entry ? exit : entry] += of_left[i];
            sums->times[exit < entry ? entry : exit] -= of_left[i];
        }
    }
}

INLINE void backward(Shape shape, const float *velocities, const float *at, const float *grad,
                     float *result)
{
    const int32_t cells = (int32_t)shape.cells;
    Series s;
    Sums sums;
    float of_before[ROOM], of_after[ROOM];
    for (int64_t n = 0; n < shape.series; n++, velocities += cells + 1, at += shape.at_stride) {
        prepare(&s, velocities, cells);
        memset(&sums, 0, sizeof sums);
        for (int64_t i = 0; i < shape.points; i += LANES) {
            const int64_t there = shape.points - i < LANES ? shape.points - i : LANES;
            const Points p = carry(&s, read(at + i, there), cells);
            add_up(&sums, &p, read(grad, there), there);
            grad += there;
        }
        for (int32_t k = 0; k < cells; k += LANES) {
            const vec before = *vec_at(s.velocities, k), after = *vec_at(s.velocities, k + 1);
            const vec way = way_of(before);
            const vec factor = choose(*vec_at(s.times, k) < 1, -way / (float)cells, all(0));
            const Pair by = slowness_slopes(*vec_at(s.slow, k), before * way, after * way, factor);
            *vec_at(of_before, k) = by.here, *vec_at(of_after, k) = by.there;
        }
        double crossed = 0, carried = 0; /* from a cell to the knot after it */
        for (int32_t k = 0; k < cells; k++) {
            crossed += sums.times[k];
            const double slope = sums.slopes[k + 1] * cells;
            *result++ = (float)(carried + sums.before[k] - slope + crossed * of_before[k]);
            carried = sums.after[k] + slope + crossed * of_after[k];
        }
        *result++ = (float)(carried + sums.before[cells]);
    }
}

#define ARGUMENTS Shape shape, const float *velocities, const float *at
static void forward_plain(ARGUMENTS, float *moved) { forward(shape, velocities, at, moved); }
static void backward_plain(ARGUMENTS, const float *grad, float *result)
{
    backward(shape, velocities, at, grad, result);
}
#if defined(__x86_64__)
TARGET static void forward_avx2(ARGUMENTS, float *moved) { forward(shape, velocities, at, moved); }
TARGET static void backward_avx2(ARGUMENTS, const float *grad, float *result)
{
    backward(shape, velocities, at, grad, result);
}
#else
#define forward_avx2 forward_plain
#define backward_avx2 backward_plain
#endif

/* shape: series, cells, points, stride of at. velocities (series, cells + 1), at (points) or
 * (series, points); written: moved (series, points). */
int stnlab_flow(int path, const int64_t *shape, const float *velocities, const float *at,
                float *moved)
{
    const Shape sizes = {shape[0], shape[1], shape[2], shape[3]};
    (path == PLAIN ? forward_plain : forward_avx2)(sizes, velocities, at, moved);
    return 0;
}

/* grad (series, points); written: result (series, cells + 1). */
int stnlab_flow_backward(int path, const int64_t *shape, const float *velocities, const float *at,
                         const float *grad, float *result)
{
    const Shape sizes = {shape[0], shape[1], shape[2], shape[3]};
    (path == PLAIN ? backward_plain : backward_avx2)(sizes, velocities, at, grad, result);
    return 0;
}
