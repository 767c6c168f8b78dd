/* Eight numbers side by side, for kernels that are one formula for many points. They are compiled
 * twice, for AVX2 with a fused multiply-add (TARGET) and for what there is everywhere.
 */
#define LANES 8
#define INLINE static inline __attribute__((always_inline))
#define TARGET __attribute__((target("avx2,fma")))

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec all(float number) { return number - (vec){0}; }

INLINE vec choose(ints where, vec yes, vec no)
{
    return (vec)((where & (ints)yes) | (~where & (ints)no));
}

/* Up to eight numbers; the last of what there is stands for what there is not. */
INLINE vec read(const float *numbers, int64_t there)
{
    if (there >= LANES)
        return *(const vec *)numbers;
    vec found;
    for (int i = 0; i < LANES; i++)
        found[i] = numbers[i < there ? i : there - 1];
    return found;
}
