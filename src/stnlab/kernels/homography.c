/* The grid of a projective warp, and its derivative, on one thread; the formulas are those of
 * geometry/projective.py. Of each sum the order is the same wherever there is a fused multiply-add.
 */
#include <stdint.h>
#include <string.h>

#include "lanes.h"
#include "paths.h"

/* A destination's pixels, and what is nearer than least_depth counts as on the horizon. */
typedef struct {
    int64_t images, points;
    const float *x, *y;
    float least_depth;
} Plane;

typedef struct {
    vec x, y, depth;
    ints near;
} Sources;

INLINE Sources sources_of(const float *theta, vec x, vec y, float least_depth)
{
    Sources s;
    s.depth = y * theta[7] + x * theta[6] + 1;
    s.near = s.depth <= least_depth;
    s.depth = choose(s.near, all(least_depth), s.depth);
    s.x = (y * theta[1] + x * theta[0] + theta[2]) / s.depth;
    s.y = (y * theta[4] + x * theta[3] + theta[5]) / s.depth;
    return s;
}

INLINE void forward(Plane plane, const float *theta, float *result)
{
    for (int64_t n = 0; n < plane.images; n++, theta += 8, result += 2 * plane.points)
        for (int64_t i = 0; i < plane.points; i += LANES) {
            const int64_t there = plane.points - i < LANES ? plane.points - i : LANES;
            const vec x = read(plane.x + i, there), y = read(plane.y + i, there);
            const Sources s = sources_of(theta, x, y, plane.least_depth);
            memcpy(result + i, &s.x, (size_t)there * 4);
            memcpy(result + plane.points + i, &s.y, (size_t)there * 4);
        }
}

INLINE float sum(vec numbers)
{
    float total = 0;
    for (int i = 0; i < LANES; i++)
        total += numbers[i];
    return total;
}

INLINE void backward(Plane plane, const float *theta, const float *grad, float *result)
{
    for (int64_t n = 0; n < plane.images; n++, theta += 8, result += 8) {
        vec sums[8] = {0};
        for (int64_t i = 0; i < plane.points; i += LANES) {
            const int64_t there = plane.points - i < LANES ? plane.points - i : LANES;
            const vec x = read(plane.x + i, there), y = read(plane.y + i, there);
            const Sources s = sources_of(theta, x, y, plane.least_depth);
            vec of_x = {0}, of_y = {0};
            for (int k = 0; k < there; k++, grad += 2)
                of_x[k] = grad[0], of_y[k] = grad[1];
            of_x /= s.depth, of_y /= s.depth;
            const vec of_depth = choose(s.near, all(0), -(of_x * s.x + of_y * s.y));
            sums[0] += of_x * x, sums[1] += of_x * y, sums[2] += of_x;
            sums[3] += of_y * x, sums[4] += of_y * y, sums[5] += of_y;
            sums[6] += of_depth * x, sums[7] += of_depth * y;
        }
        for (int k = 0; k < 8; k++)
            result[k] = sum(sums[k]);
    }
}

static void forward_plain(Plane plane, const float *theta, float *result)
{
    forward(plane, theta, result);
}
static void backward_plain(Plane plane, const float *theta, const float *grad, float *result)
{
    backward(plane, theta, grad, result);
}
#if defined(__x86_64__)
TARGET static void forward_avx2(Plane plane, const float *theta, float *result)
{
    forward(plane, theta, result);
}
TARGET static void backward_avx2(Plane plane, const float *theta, const float *grad, float *result)
{
    backward(plane, theta, grad, result);
}
#else
#define forward_avx2 forward_plain
#define backward_avx2 backward_plain
#endif

static Plane plane_of(const int64_t *shape, const float *points, float least_depth)
{
    return (Plane){shape[0], shape[1], points, points + shape[1], least_depth};
}

/* shape: images, points. theta (images, 8), points (2 or more, points); written: result
 * (images, 2, points). */
int stnlab_homography(int path, const int64_t *shape, float least_depth, const float *theta,
                      const float *points, float *result)
{
    const Plane plane = plane_of(shape, points, least_depth);
    (path == PLAIN ? forward_plain : forward_avx2)(plane, theta, result);
    return 0;
}

/* grad (images, points, 2); written: result (images, 8). */
int stnlab_homography_backward(int path, const int64_t *shape, float least_depth,
                               const float *theta, const float *points, const float *grad,
                               float *result)
{
    const Plane plane = plane_of(shape, points, least_depth);
    (path == PLAIN ? backward_plain : backward_avx2)(plane, theta, grad, result);
    return 0;
}
