/* The arithmetic of blocks.c for one kind of processor: PATH, TARGET, LANES, WIDTH, OUT_TILE.
 *
 * Forward: the images of a group lie side by side, [channel][row][column][lane], so that a vector
 * is one pixel of LANES images. The four convolutions of a pooling window, for a few output
 * channels, stay in registers until only their maximum is left.
 *
 * Backward: of the four only one has a gradient, and of those that ReLU stopped none. What is left
 * is a list of items, at most a quarter of all; each adds its gradient times a patch of input to
 * the weight's gradient, and times the weight to a patch of the input's. A row of a patch is
 * contiguous once an image lies [row][column][channel]; a patch is a list of vectors, its *slots*.
 */
typedef float NAME(lanes) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t NAME(ints) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint8_t NAME(bytes) __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef float NAME(vec) __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

#define lanes_t NAME(lanes)
#define ints_t NAME(ints)
#define vec_t NAME(vec)
#define INLINE static inline __attribute__((always_inline)) TARGET

INLINE lanes_t NAME(choose)(ints_t where, lanes_t yes, lanes_t no)
{
    return (lanes_t)((where & (ints_t)yes) | (~where & (ints_t)no));
}

/* --- forward ------------------------------------------------------------------------------- */

/* One pooling window of `outs` output channels. x points to its first pixel, w to the packed
 * weights [channel][ky][kx][outs]; y and chosen (may be null) to the cell of the first channel. */
INLINE void NAME(window)(const Block *b, const float *x, const float *w, const float *bias,
                         float *y, uint8_t *chosen, const int outs, const int window_height)
{
    const int64_t row = b->width * LANES, plane = b->height * row;
    lanes_t sum[2][2][OUT_TILE];
    for (int o = 0; o < outs; o++)
        for (int i = 0; i < window_height; i++)
            sum[i][0][o] = sum[i][1][o] = bias[o] - (lanes_t){0};
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t ky = 0; ky < b->kernel_height; ky++) {
            const float *at = x + c * plane + ky * row;
            for (int64_t kx = 0; kx < b->kernel_width; kx++, at += LANES, w += outs)
                for (int i = 0; i < window_height; i++)
                    for (int j = 0; j < 2; j++) {
                        const lanes_t pixel = *(const lanes_t *)(at + i * row + j * LANES);
                        for (int o = 0; o < outs; o++)
                            sum[i][j][o] += pixel * w[o];
                    }
        }
    for (int o = 0; o < outs; o++) {
        lanes_t most = sum[0][0][o];
        ints_t which = {0};
        for (int k = 1; k < 2 * window_height; k++) { /* ties and NaN as torch's pooling */
            const lanes_t next = sum[k / 2][k % 2][o];
            const ints_t larger = (next > most) | (next != next);
            most = NAME(choose)(larger, next, most);
            which = (larger & k) | (~larger & which);
        }
        const ints_t stopped = most <= 0;
        *(lanes_t *)(y + o * b->cells * LANES) = (lanes_t)(~stopped & (ints_t)most);
        if (chosen)
            *(NAME(bytes) *)(chosen + o * b->cells * LANES) =
                __builtin_convertvector((stopped & NOTHING) | (~stopped & which), NAME(bytes));
    }
}

/* A row of cells; for `outs` a constant of the compiler's. */
#define WINDOWS(outs, height)                                                                     \
    for (int64_t j = 0; j < b->columns; j++)                                                      \
        NAME(window)(b, x + 2 * j * LANES, w, bias, y + j * LANES,                                \
                     chosen ? chosen + j * LANES : NULL, outs, height);                           \
    break
#define WINDOWS_OF_EITHER_HEIGHT(outs)                                                            \
    case outs:                                                                                    \
        if (b->window_height == 1) {                                                              \
            WINDOWS(outs, 1);                                                                     \
        }                                                                                         \
        WINDOWS(outs, 2)

static TARGET void NAME(row_of_windows)(const Block *b, const float *x, const float *w,
                                        const float *bias, float *y, uint8_t *chosen, int outs)
{
    switch (outs) {
        WINDOWS_OF_EITHER_HEIGHT(1);
#if OUT_TILE >= 2
        WINDOWS_OF_EITHER_HEIGHT(2);
#endif
#if OUT_TILE >= 3
        WINDOWS_OF_EITHER_HEIGHT(3);
#endif
#if OUT_TILE >= 4
        WINDOWS_OF_EITHER_HEIGHT(4);
#endif
#if OUT_TILE >= 5
        WINDOWS_OF_EITHER_HEIGHT(5);
#endif
    }
}

/* Output channels of the tile that begins at `from`: tiles as equal as may be. */
static int NAME(tile)(int64_t out, int64_t from)
{
    const int64_t left = out - from, tiles = (left + OUT_TILE - 1) / OUT_TILE;
    return (int)((left + tiles - 1) / tiles);
}

/* (O, C, kh, kw) to [tile][C][kh][kw][of the tile]. */
static void NAME(pack_forward)(const Block *b, const float *weight, float *packed)
{
    const int64_t taps = b->channels * b->kernel_height * b->kernel_width;
    for (int64_t from = 0, outs; from < b->out; from += outs) {
        outs = NAME(tile)(b->out, from);
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t o = 0; o < outs; o++)
                *packed++ = weight[(from + o) * taps + tap];
    }
}

/* x [C][H][W][lane] to y [O][cell][lane]. */
static TARGET void NAME(forward_block)(const Block *b, const float *x, const float *packed,
                                       const float *bias, float *y, uint8_t *chosen)
{
    const int64_t taps = b->channels * b->kernel_height * b->kernel_width;
    for (int64_t i = 0; i < b->rows; i++)
        for (int64_t from = 0, outs; from < b->out; from += outs) {
            const int64_t at = (from * b->cells + i * b->columns) * LANES;
            outs = NAME(tile)(b->out, from);
            NAME(row_of_windows)(b, x + i * b->window_height * b->width * LANES,
                                 packed + from * taps, bias + from, y + at,
                                 chosen ? chosen + at : NULL, (int)outs);
        }
}

/* `given` images, `size` floats each, to [size][lane]; the other lanes are 0. */
static TARGET void NAME(side_by_side)(const float *images, int64_t size, int64_t given, float *x)
{
    if (given < LANES)
        memset(x, 0, (size_t)(size * LANES * 4));
    if (given == LANES)
        for (int64_t i = 0; i < size; i++)
            for (int64_t lane = 0; lane < LANES; lane++)
                x[i * LANES + lane] = images[lane * size + i];
    else
        for (int64_t lane = 0; lane < given; lane++)
            for (int64_t i = 0; i < size; i++)
                x[i * LANES + lane] = images[lane * size + i];
}

static TARGET int NAME(forward)(const Block *blocks, int number, int64_t num_images,
                                const float *images, const float **weights, const float **biases,
                                float *result, void *tape)
{
    const int64_t size = blocks->channels * blocks->height * blocks->width;
    const Block *last = blocks + number - 1;
    const int64_t result_size = last->out * last->cells;
    int64_t between = 0, packed_size = 0;
    for (int i = 0; i < number; i++) {
        const Block *b = blocks + i;
        between = b->out * b->cells > between ? b->out * b->cells : between;
        packed_size += b->out * b->channels * b->kernel_height * b->kernel_width;
    }
    float *memory = floats((size + 2 * between) * LANES + packed_size);
    if (!memory)
        return 1;
    float *const first = memory, *const other = first + size * LANES;
    float *const packed = other + 2 * between * LANES;
    float *to = packed;
    for (int i = 0; i < number; i++) {
        const Block *b = blocks + i;
        NAME(pack_forward)(b, weights[i], to);
        to += b->out * b->channels * b->kernel_height * b->kernel_width;
    }
    uint8_t *kept = tape;
    for (int64_t n = 0; n < num_images; n += LANES) {
        const int64_t given = num_images - n < LANES ? num_images - n : LANES;
        const float *x = first, *w = packed;
        NAME(side_by_side)(images + n * size, size, given, first);
        for (int i = 0; i < number; i++) {
            const Block *b = blocks + i;
            const int64_t values = b->out * b->cells * LANES;
            float *y = other + i % 2 * between * LANES;
            uint8_t *chosen = NULL;
            if (kept) { /* the order of the tape: for a group, each block's values and choices */
                if (i < number - 1) {
                    y = (float *)kept;
                    kept += 4 * values;
                }
                chosen = kept;
                kept += values;
            }
            NAME(forward_block)(b, x, w, biases[i], y, chosen);
            w += b->out * b->channels * b->kernel_height * b->kernel_width;
            x = y;
        }
        for (int64_t lane = 0; lane < given; lane++)
            for (int64_t i = 0; i < result_size; i++)
                result[(n + lane) * result_size + i] = x[i * LANES + lane];
    }
    free(memory);
    return 0;
}

/* --- backward ------------------------------------------------------------------------------ */

/* sums[slot] += over the items: gradient times the patch of x where the item points. */
INLINE void NAME(sum_patches)(const Item *items, int64_t number, const float *x,
                              const int64_t *slots, float *sums, const int num_slots)
{
    vec_t sum[MAX_PART];
    for (int s = 0; s < num_slots; s++)
        sum[s] = (vec_t){0};
    for (int64_t i = 0; i < number; i++) {
        const float *at = x + items[i].offset;
        for (int s = 0; s < num_slots; s++)
            sum[s] += items[i].grad * *(const vec_t *)(at + slots[s]);
    }
    for (int s = 0; s < num_slots; s++)
        *(vec_t *)(sums + s * WIDTH) += sum[s];
}

/* pixels[slot] += over the items: gradient times the patch of w where the item points. */
INLINE void NAME(add_patches)(const Item *items, int64_t number, const float *w,
                              const int64_t *slots, float *pixels, const int num_slots)
{
    vec_t sum[MAX_PART];
    for (int s = 0; s < num_slots; s++)
        sum[s] = *(const vec_t *)(pixels + slots[s]);
    for (int64_t i = 0; i < number; i++) {
        const float *at = w + items[i].offset;
        for (int s = 0; s < num_slots; s++)
            sum[s] += items[i].grad * *(const vec_t *)(at + s * WIDTH);
    }
    for (int s = 0; s < num_slots; s++)
        *(vec_t *)(pixels + slots[s]) = sum[s];
}

/* Calls `function` with a constant number of slots: all of them, in parts. */
#define IN_PARTS(function, from, from_step, to, to_step)                                          \
    for (int64_t s = 0; s < slots->number; s += slots->part)                                      \
        switch (s + slots->part > slots->number ? slots->number - s : slots->part) {              \
            ONE_PART(function, from, from_step, to, to_step, 1);                                  \
            ONE_PART(function, from, from_step, to, to_step, 2);                                  \
            ONE_PART(function, from, from_step, to, to_step, 3);                                  \
            ONE_PART(function, from, from_step, to, to_step, 4);                                  \
            ONE_PART(function, from, from_step, to, to_step, 5);                                  \
            ONE_PART(function, from, from_step, to, to_step, 6);                                  \
            ONE_PART(function, from, from_step, to, to_step, 7);                                  \
            ONE_PART(function, from, from_step, to, to_step, 8);                                  \
        }
#define ONE_PART(function, from, from_step, to, to_step, size)                                    \
    case size:                                                                                    \
        NAME(function)(items, number, from + s * (from_step), slots->offsets + s,                 \
                       to + s * (to_step), size);                                                 \
        break

static TARGET void NAME(sum_all_patches)(const Item *items, int64_t number, const float *x,
                                         const Slots *slots, float *sums)
{
    IN_PARTS(sum_patches, x, 0, sums, WIDTH)
}

static TARGET void NAME(add_all_patches)(const Item *items, int64_t number, const float *w,
                                         const Slots *slots, float *pixels)
{
    IN_PARTS(add_patches, w, WIDTH, pixels, 0)
}

/* What the backward of one block needs beside its sizes. */
typedef struct {
    Block b;
    /* weight's gradient: slots of a patch of the input, sums [O][slot], items [O][most_items] */
    Slots patch;
    int64_t row_slots, most_items, images_a_flush;
    float *sums;
    Item *items, *window; /* window: of one cell */
    Item **next;          /* the end of each output's list */
    /* input's gradient: slots of a window (a pooling window's patches), weights
     * [column of the window][O][row and rows of zeros][window_row], sums of every phase-th window,
     * which do not overlap, so that no load waits for a store beside it */
    Slots window_patch;
    int64_t window_row, phases, line, phase_size, weight_rows;
    float *weight, *pixels;
    /* of a group of images: input [row][column][channel], and its gradient */
    int64_t size, padded;
    float *x, *grad;
} NAME(Work);

#define work_t NAME(Work)

/* Where a block's arrays lie in `memory` (NULL: only count). Returns the end. */
static float *NAME(place)(work_t *work, float *memory)
{
    const Block *b = &work->b;
    const int64_t patch_row = b->kernel_width * b->channels;
    float *at = memory;
#define TAKE(field, type, number)                                                                 \
    work->field = (type *)at;                                                                     \
    at += round_up((int64_t)sizeof(type) * (number), 64) / 4
    work->row_slots = (patch_row + WIDTH - 1) / WIDTH;
    work->patch = slots_of(b->kernel_height * work->row_slots);
    work->images_a_flush = b->cells >= 128 ? 1 : 128 / b->cells;
    if (work->images_a_flush > IMAGES_A_GROUP)
        work->images_a_flush = IMAGES_A_GROUP;
    work->most_items = b->cells * work->images_a_flush + 1;
    work->weight_rows = b->kernel_height + 2 * (b->window_height - 1);
    work->window_row = round_up(patch_row + b->channels, WIDTH);
    work->window_patch =
        slots_of((b->kernel_height + b->window_height - 1) * (work->window_row / WIDTH));
    work->phases = (work->window_row + 2 * b->channels - 1) / (2 * b->channels);
    work->line = b->width * b->channels + WIDTH;
    work->phase_size = b->height * work->line;
    work->size = b->height * b->width * b->channels;
    work->padded = work->size + WIDTH;
    TAKE(patch.offsets, int64_t, work->patch.number);
    TAKE(next, Item *, b->out);
    TAKE(sums, float, b->out * work->patch.number * WIDTH);
    TAKE(items, Item, b->out * work->most_items);
    TAKE(window, Item, b->out + 1);
    TAKE(window_patch.offsets, int64_t, work->window_patch.number);
    TAKE(weight, float, 2 * b->out * work->weight_rows * work->window_row);
    TAKE(pixels, float, work->phases * work->phase_size);
    TAKE(x, float, IMAGES_A_GROUP * work->padded);
    TAKE(grad, float, IMAGES_A_GROUP * work->size + WIDTH);
#undef TAKE
    return at;
}

static void NAME(start)(work_t *work, const float *weight)
{
    const Block *b = &work->b;
    const int64_t zero_rows = b->window_height - 1;
    for (int64_t s = 0; s < work->patch.number; s++)
        work->patch.offsets[s] =
            s / work->row_slots * b->width * b->channels + s % work->row_slots * WIDTH;
    const int64_t row_vectors = work->window_row / WIDTH;
    for (int64_t s = 0; s < work->window_patch.number; s++)
        work->window_patch.offsets[s] = s / row_vectors * work->line + s % row_vectors * WIDTH;
    for (int64_t o = 0; o < b->out; o++)
        work->next[o] = work->items + o * work->most_items;
    memset(work->sums, 0, (size_t)(b->out * work->patch.number * WIDTH * 4));
    memset(work->x, 0, (size_t)(IMAGES_A_GROUP * work->padded * 4));
    memset(work->weight, 0, (size_t)(2 * b->out * work->weight_rows * work->window_row * 4));
    for (int64_t column = 0; column < 2; column++)
        for (int64_t o = 0; o < b->out; o++)
            for (int64_t c = 0; c < b->channels; c++)
                for (int64_t ky = 0; ky < b->kernel_height; ky++)
                    for (int64_t kx = 0; kx < b->kernel_width; kx++)
                        work->weight[((column * b->out + o) * work->weight_rows + zero_rows + ky) *
                                         work->window_row +
                                     (column + kx) * b->channels + c] =
                            weight[((o * b->channels + c) * b->kernel_height + ky) *
                                       b->kernel_width +
                                   kx];
}

/* Empties the lists of the weight's and the bias' gradient. */
static TARGET void NAME(flush)(work_t *work, float *grad_bias)
{
    for (int64_t o = 0; o < work->b.out; o++) {
        const Item *items = work->items + o * work->most_items;
        const int64_t number = work->next[o] - items;
        float sums[4] = {0}; /* one alone would wait for itself */
        int64_t i = 0;
        for (; i + 4 <= number; i += 4)
            for (int k = 0; k < 4; k++)
                sums[k] += items[i + k].grad;
        for (; i < number; i++)
            sums[0] += items[i].grad;
        grad_bias[o] += (sums[0] + sums[1]) + (sums[2] + sums[3]);
        NAME(sum_all_patches)(items, number, work->x, &work->patch,
                              work->sums + o * work->patch.number * WIDTH);
        work->next[o] = work->items + o * work->most_items;
    }
}

/* One image: grad of output o and cell c lies at o * grad_out + c * grad_cell, what was chosen at
 * (o * cells + c) * LANES. Its items go to the lists; with `grad_x` its input's gradient,
 * [row][column][channel], is made, too. */
static TARGET void NAME(backward_image)(work_t *work, int64_t image, const float *grad,
                                        int64_t grad_out, int64_t grad_cell, const uint8_t *chosen,
                                        float *grad_x)
{
    const Block *b = &work->b;
    const int64_t out = b->out, cells = b->cells, line = b->width * b->channels;
    int32_t in_x[NOTHING + 1] = {0}, in_weight[NOTHING + 1] = {0};
    const int32_t weight_size = (int32_t)(work->weight_rows * work->window_row);
    Item *const window = work->window, **const next = work->next;
    for (int k = 0; k < 2 * b->window_height; k++) {
        in_x[k] = (int32_t)(k / 2 * line + k % 2 * b->channels);
        in_weight[k] = (int32_t)(k % 2 * out * weight_size +
                                 (b->window_height - 1 - k / 2) * work->window_row);
    }
    if (grad_x)
        memset(work->pixels, 0, (size_t)(work->phases * work->phase_size * 4));
    for (int64_t row = 0; row < b->rows; row++) {
        float *pixels = work->pixels + row * b->window_height * work->line;
        int64_t phase = 0;
        for (int64_t column = 0; column < b->columns; column++) {
            const int64_t cell = row * b->columns + column;
            const int32_t x = (int32_t)(image * work->padded + row * b->window_height * line +
                                        2 * column * b->channels);
            Item *end = window;
            const float *from = grad + cell * grad_cell;
            const uint8_t *at = chosen + cell * LANES;
            int32_t weight = 0;
            for (int64_t o = 0; o < out; o++) {
                const int which = *at;
                uint32_t bits;
                memcpy(&bits, from, 4);
                const int counts = (which != NOTHING) & (bits << 1 != 0); /* neither 0 nor -0 */
                *next[o] = (Item){*from, x + in_x[which]};
                next[o] += counts;
                *end = (Item){*from, weight + in_weight[which]};
                end += counts;
                from += grad_out, at += cells * LANES, weight += weight_size;
            }
            if (grad_x)
                NAME(add_all_patches)
                (window, end - window, work->weight, &work->window_patch,
                 pixels + phase * work->phase_size + 2 * column * b->channels);
            phase = phase + 1 == work->phases ? 0 : phase + 1;
        }
    }
    if (!grad_x)
        return;
    for (int64_t y = 0; y < b->height; y++) {
        const float *from = work->pixels + y * work->line;
        float *to = grad_x + y * line;
        for (int64_t i = 0; i < line; i += WIDTH) { /* beyond its end begins the next line */
            vec_t sum = *(const vec_t *)(from + i);
            for (int64_t phase = 1; phase < work->phases; phase++)
                sum += *(const vec_t *)(from + phase * work->phase_size + i);
            *(vec_t *)(to + i) = sum;
        }
    }
}

/* [channel][pixel] of the images of a group to [pixel][channel]. */
static TARGET void NAME(channels_last)(const work_t *work, const float *images, int64_t given)
{
    const int64_t channels = work->b.channels, pixels = work->size / channels;
    for (int64_t image = 0; image < given; image++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++)
                work->x[image * work->padded + p * channels + c] =
                    images[image * work->size + c * pixels + p];
}

static TARGET void NAME(channels_first)(const work_t *work, float *images, int64_t given)
{
    const int64_t channels = work->b.channels, pixels = work->size / channels;
    for (int64_t image = 0; image < given; image++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++)
                images[image * work->size + c * pixels + p] =
                    work->grad[image * work->size + p * channels + c];
}

/* [channel][pixel][lane], as the forward has left them, to [pixel][channel] of each image. */
static TARGET void NAME(from_lanes)(const work_t *work, const float *values, float *x)
{
    const int64_t channels = work->b.channels, pixels = work->size / channels;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t lane = 0; lane < LANES; lane++)
                x[lane * work->padded + p * channels + c] = values[(c * pixels + p) * LANES + lane];
}

/* Block i, for a group of `given` images; all pointers are to the first of the group. */
static TARGET void NAME(backward_group)(work_t *works, int number, int i, int64_t given,
                                        const float *images, const uint8_t *tape,
                                        const float *grad, float *grad_images, float *grad_bias)
{
    work_t *work = works + i;
    const Block *b = &work->b;
    const int is_last = i == number - 1;
    const int64_t values = b->out * b->cells;
    int64_t size = 0, before = 0, own = 0; /* of the tape, and its parts, for one image */
    for (int j = 0; j < number; j++) {
        before = j == i - 1 ? size : before;
        own = j == i ? size + (is_last ? 0 : 4 * values) : own;
        size += works[j].b.out * works[j].b.cells * (j == number - 1 ? 1 : 5);
    }
    if (i == 0)
        NAME(channels_last)(work, images, given);
    else
        for (int64_t first = 0; first < given; first += LANES)
            NAME(from_lanes)
            (work, (const float *)(tape + first * size + before * LANES),
             work->x + first * work->padded);
    for (int64_t image = 0; image < given; image++) {
        const int64_t lane = image % LANES;
        const float *grad_y = is_last ? grad + image * values : works[i + 1].grad + image * values;
        NAME(backward_image)
        (work, image, grad_y, is_last ? b->cells : 1, is_last ? 1 : b->out,
         tape + (image - lane) * size + own * LANES + lane,
         i || grad_images ? work->grad + image * work->size : NULL);
        if ((image + 1) % work->images_a_flush == 0 || image == given - 1)
            NAME(flush)(work, grad_bias);
    }
    if (i == 0 && grad_images)
        NAME(channels_first)(work, grad_images, given);
}

static TARGET int NAME(backward)(const Block *blocks, int number, int64_t num_images,
                                 const float *images, const float **weights, const void *tape,
                                 const float *grad, float *grad_images, float **grad_weights,
                                 float **grad_biases)
{
    work_t works[MAX_BLOCKS];
    float *end = NULL;
    for (int i = 0; i < number; i++) {
        works[i].b = blocks[i];
        end = NAME(place)(works + i, end);
    }
    float *memory = floats((int64_t)((uintptr_t)end / 4));
    if (!memory)
        return 1;
    end = memory;
    for (int i = 0; i < number; i++) {
        end = NAME(place)(works + i, end);
        NAME(start)(works + i, weights[i]);
        memset(grad_biases[i], 0, (size_t)blocks[i].out * 4);
    }
    for (int64_t n = 0; n < num_images; n += IMAGES_A_GROUP) {
        const int64_t given = num_images - n < IMAGES_A_GROUP ? num_images - n : IMAGES_A_GROUP;
        const uint8_t *kept = (const uint8_t *)tape + n * tape_bytes(blocks, number);
        for (int i = number - 1; i >= 0; i--)
            NAME(backward_group)
            (works, number, i, given, images + n * works->size, kept,
             grad + n * blocks[number - 1].out * blocks[number - 1].cells,
             grad_images ? grad_images + n * works->size : NULL, grad_biases[i]);
    }
    for (int i = 0; i < number; i++) {
        const Block *b = blocks + i;
        const float *sums = works[i].sums;
        float *to = grad_weights[i];
        for (int64_t o = 0; o < b->out; o++, sums += works[i].patch.number * WIDTH)
            for (int64_t c = 0; c < b->channels; c++)
                for (int64_t ky = 0; ky < b->kernel_height; ky++)
                    for (int64_t kx = 0; kx < b->kernel_width; kx++)
                        *to++ = sums[ky * works[i].row_slots * WIDTH + kx * b->channels + c];
    }
    free(memory);
    return 0;
}

#undef WINDOWS
#undef WINDOWS_OF_EITHER_HEIGHT
#undef IN_PARTS
#undef ONE_PART
#undef lanes_t
#undef ints_t
#undef vec_t
#undef work_t
#undef INLINE
#undef PATH
#undef TARGET
#undef LANES
#undef WIDTH
#undef OUT_TILE
