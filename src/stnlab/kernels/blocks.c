/* A chain of blocks (convolution with stride 1 and no padding, max-pool 2, ReLU), forward and
 * backward, on one thread. The arithmetic is in blocks_of_width.h, compiled here once for every
 * kind of processor; this file chooses among them.
 *
 * Every output is one sum in the same order, whatever the width of the vectors and whoever else is
 * in the batch. AVX2 and AVX-512 give the same numbers; what lacks a fused multiply-add rounds
 * otherwise.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "paths.h"

#define MAX_BLOCKS 4
#define IMAGES_A_GROUP 16 /* of the backward, and the most images side by side in a vector */

/* Sizes of a block. Images of one row (series) have window_height 1 and kernel_height 1. */
typedef struct {
    int64_t channels, height, width, out, kernel_height, kernel_width, window_height;
    int64_t rows, columns, cells; /* after the pooling; cells = rows * columns */
} Block;

/* A gradient that survived ReLU and pooling, and where the place lies that it belongs to. */
typedef struct {
    float grad;
    int32_t offset;
} Item;

/* What pooling chose: 0 to 3 (row by row) of its window, or nothing, where ReLU gave 0. */
enum { NOTHING = 4 };

static int64_t round_up(int64_t number, int64_t to) { return (number + to - 1) / to * to; }

static float *floats(int64_t number)
{
    return aligned_alloc(64, (size_t)round_up(number * 4 + 64, 64));
}

/* Where the vectors of a patch lie, and how many of them to take at a time. */
typedef struct {
    int64_t number, part, *offsets;
} Slots;

#define MAX_PART 8 /* each vector has an accumulator */

static Slots slots_of(int64_t number)
{
    const int64_t parts = (number + MAX_PART - 1) / MAX_PART;
    return (Slots){number, (number + parts - 1) / parts, NULL};
}

/* For one image: the values of each block but the last, and what each block chose. */
static int64_t tape_bytes(const Block *blocks, int number)
{
    int64_t bytes = 0;
    for (int i = 0; i < number; i++)
        bytes += blocks[i].out * blocks[i].cells * (i < number - 1 ? 5 : 1);
    return bytes;
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, PATH)

/* LANES: images side by side in a vector of the forward. OUT_TILE: output channels at a time, four
 * accumulators each. WIDTH: floats in a vector of the backward. */
#define PATH plain
#define TARGET
#define LANES 4
#define WIDTH 4
#if defined(__aarch64__)
#define OUT_TILE 4
#else
#define OUT_TILE 2
#endif
#include "blocks_of_width.h"

#if defined(__x86_64__)
#define PATH avx2
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define WIDTH 8
#define OUT_TILE 2
#include "blocks_of_width.h"

#define PATH avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define LANES 16
#define WIDTH 8
#define OUT_TILE 5
#include "blocks_of_width.h"
#endif

int stnlab_abi(void) { return ABI; }

/* The best path of this processor. */
int stnlab_best_path(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return AVX2;
#endif
    return PLAIN;
}

/* shape: images, height, width, blocks, then for each block channels, out, kernel_height,
 * kernel_width, window_height. */
static int read_shape(const int64_t *shape, Block *blocks)
{
    int64_t height = shape[1], width = shape[2];
    int number = (int)shape[3];
    for (int i = 0; i < number; i++) {
        const int64_t *given = shape + 4 + 5 * i;
        Block *b = blocks + i;
        b->channels = given[0], b->out = given[1];
        b->kernel_height = given[2], b->kernel_width = given[3], b->window_height = given[4];
        b->height = height, b->width = width;
        b->rows = height = (height - b->kernel_height + 1) / b->window_height;
        b->columns = width = (width - b->kernel_width + 1) / 2;
        b->cells = height * width;
    }
    return number;
}

/* Bytes that the forward keeps for the backward. */
int64_t stnlab_tape_size(const int64_t *shape)
{
    Block blocks[MAX_BLOCKS];
    int number = read_shape(shape, blocks);
    return round_up(shape[0], IMAGES_A_GROUP) * tape_bytes(blocks, number);
}

/* images (N, C, H, W), weights (O, C, kh, kw) and biases (O) of each block, result (N, O, h, w);
 * tape may be null. Returns 0, or 1 where memory is short. */
int stnlab_forward(int path, const int64_t *shape, const float *images, const float **weights,
                   const float **biases, float *result, void *tape)
{
    Block blocks[MAX_BLOCKS];
    int number = read_shape(shape, blocks);
#if defined(__x86_64__)
    if (path == AVX512)
        return forward_avx512(blocks, number, shape[0], images, weights, biases, result, tape);
    if (path == AVX2)
        return forward_avx2(blocks, number, shape[0], images, weights, biases, result, tape);
#endif
    return forward_plain(blocks, number, shape[0], images, weights, biases, result, tape);
}

/* grad (N, O, h, w); written: grad_images (may be null), grad_weights and grad_biases of each
 * block. path is the forward's. */
int stnlab_backward(int path, const int64_t *shape, const float *images, const float **weights,
                    const void *tape, const float *grad, float *grad_images, float **grad_weights,
                    float **grad_biases)
{
    Block blocks[MAX_BLOCKS];
    int number = read_shape(shape, blocks);
#if defined(__x86_64__)
    if (path == AVX512)
        return backward_avx512(blocks, number, shape[0], images, weights, tape, grad, grad_images,
                               grad_weights, grad_biases);
    if (path == AVX2)
        return backward_avx2(blocks, number, shape[0], images, weights, tape, grad, grad_images,
                             grad_weights, grad_biases);
#endif
    return backward_plain(blocks, number, shape[0], images, weights, tape, grad, grad_images,
                          grad_weights, grad_biases);
}
