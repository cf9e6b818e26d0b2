//go:build cgo

#include "api.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

void *const *attnx_table;
OrtEnv *attnx_env;

typedef struct {
	void *const *(ORT_CALL *GetApi)(uint32_t version);
	const char *(ORT_CALL *GetVersionString)(void);
} api_base;

const char *attnx_load(const attnx_char *path) {
	if (attnx_env) return NULL;
	// A library that is open is not opened a second time: the handle is the same.
#ifdef _WIN32
	HMODULE library = LoadLibraryW(path);
	void *get = library ? (void *)GetProcAddress(library, "OrtGetApiBase") : NULL;
#else
	void *library = dlopen(path, RTLD_LAZY);
	void *get = library ? dlsym(library, "OrtGetApiBase") : NULL;
#endif
	if (!get) return "OrtGetApiBase is not found in it";
	const api_base *base = ((const api_base *(ORT_CALL *)(void))get)();
	void *const *table = base ? base->GetApi(ATTNX_ORT_VERSION) : NULL;
	if (!table) return "it does not serve version 24 of the C API";
	attnx_table = table;
	// The binding made the process's environment; this is another hold on it.
	OrtStatus *status = ORT(CreateEnv)(4, "attnx", &attnx_env);
	if (status) {
		ORT(ReleaseStatus)(status);
		return "its environment cannot be had";
	}
	return NULL;
}
