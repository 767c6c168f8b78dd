/* What the sources of the library share with kernels/compiled.py. */
#define ABI 2 /* of the functions for Python; raise it when an argument or a layout changes */

/* The kinds of processors that there is code for. */
enum { PLAIN, AVX2, AVX512 };
