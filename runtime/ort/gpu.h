// Copies between the host and a GPU, by NVIDIA's driver.
//
// ONNX Runtime's own CopyTensors (API 23) copies with what execution provider
// libraries have registered in the environment, and a provider that a session
// appended is none of those. The driver's library has one name and one ABI
// whatever CUDA the provider was built for, and where CUDA works it is loaded.

#ifndef ATTNX_GPU_H
#define ATTNX_GPU_H

#include <stddef.h>

// A CUresult: 0 is success, the other numbers are CUDA's own.
typedef int attnx_result;

enum { ATTNX_NO_DRIVER = -1 }; // its library, or a function in it, is not there

// attnx_driver_open takes a hold on the GPU's primary context, the one in
// which ONNX Runtime works; attnx_driver_close lets it go. The first call of
// attnx_driver_open is made while there is no other.
attnx_result attnx_driver_open(int gpu, void **context);
void attnx_driver_close(int gpu);

// These return when the copy is done. Each works on any thread.
attnx_result attnx_driver_write(void *context, void *to, const void *from, size_t n);
attnx_result attnx_driver_read(void *context, void *to, const void *from, size_t n);
attnx_result attnx_driver_zero(void *context, void *to, size_t n);

// attnx_driver_text says what a result means.
const char *attnx_driver_text(attnx_result r);

#endif
