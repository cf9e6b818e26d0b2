//go:build cgo

#include "gpu.h"

#include <stdint.h>

#ifdef _WIN32
#include <windows.h>
#define CUDA_CALL __stdcall
#else
#include <dlfcn.h>
#define CUDA_CALL
#endif

// The functions, by the names that the library exports. A pointer into the
// GPU's memory is a 64-bit number.
#define CUDA_FUNCTIONS(F) \
	F(init, "cuInit", (unsigned)) \
	F(device, "cuDeviceGet", (int *, int)) \
	F(retain, "cuDevicePrimaryCtxRetain", (void **, int)) \
	F(release, "cuDevicePrimaryCtxRelease_v2", (int)) \
	F(push, "cuCtxPushCurrent_v2", (void *)) \
	F(pop, "cuCtxPopCurrent_v2", (void **)) \
	F(wait, "cuCtxSynchronize", (void)) \
	F(write, "cuMemcpyHtoD_v2", (uint64_t, const void *, size_t)) \
	F(read, "cuMemcpyDtoH_v2", (void *, uint64_t, size_t)) \
	F(fill, "cuMemsetD8_v2", (uint64_t, unsigned char, size_t)) \
	F(text, "cuGetErrorString", (int, const char **))

static struct {
#define MEMBER(name, symbol, arguments) int(CUDA_CALL *name) arguments;
	CUDA_FUNCTIONS(MEMBER)
} cuda;

static void *symbol(const char *name) {
#ifdef _WIN32
	HMODULE library = LoadLibraryA("nvcuda.dll");
	return library ? (void *)GetProcAddress(library, name) : NULL;
#else
	void *library = dlopen("libcuda.so.1", RTLD_NOW);
	return library ? dlsym(library, name) : NULL;
#endif
}

static attnx_result load(void) {
#define LOAD(name, text, arguments) \
	if (!cuda.name && !(cuda.name = (int(CUDA_CALL *) arguments)symbol(text))) return ATTNX_NO_DRIVER;
	CUDA_FUNCTIONS(LOAD)
	return cuda.init(0);
}

attnx_result attnx_driver_open(int gpu, void **context) {
	int device;
	attnx_result r = load();
	if (!r) r = cuda.device(&device, gpu);
	return r ? r : cuda.retain(context, device);
}

void attnx_driver_close(int gpu) {
	int device;
	if (cuda.device(&device, gpu) == 0) cuda.release(device);
}

// A copy is ordered before and after the work of ONNX Runtime, whose stream
// does not wait for the driver's default one, by waiting for all of it.
#define IN_CONTEXT(call)                  \
	attnx_result r = cuda.push(context);  \
	if (r) return r;                      \
	void *popped;                         \
	r = cuda.wait();                      \
	if (!r) r = (call);                   \
	if (!r) r = cuda.wait();              \
	attnx_result left = cuda.pop(&popped); \
	return r ? r : left;

attnx_result attnx_driver_write(void *context, void *to, const void *from, size_t n) {
	IN_CONTEXT(cuda.write((uint64_t)(uintptr_t)to, from, n))
}

attnx_result attnx_driver_read(void *context, void *to, const void *from, size_t n) {
	IN_CONTEXT(cuda.read(to, (uint64_t)(uintptr_t)from, n))
}

attnx_result attnx_driver_zero(void *context, void *to, size_t n) {
	IN_CONTEXT(cuda.fill((uint64_t)(uintptr_t)to, 0, n))
}

const char *attnx_driver_text(attnx_result r) {
	const char *text = NULL;
	if (r == ATTNX_NO_DRIVER) return "the driver's library cannot be loaded";
	if (!cuda.text || cuda.text(r, &text) || !text) return "unknown error";
	return text;
}
