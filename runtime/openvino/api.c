//go:build cgo

#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

// The enumerations of the API travel as int. A result of int is a status: 0, or
// an error.
#define OV_FUNCTIONS(F) \
	F(ov_get_openvino_version, int, (ov_version_t *)) \
	F(ov_version_free, void, (ov_version_t *)) \
	F(ov_get_error_info, const char *, (int)) \
	F(ov_get_last_err_msg, const char *, (void)) \
	F(ov_free, void, (const char *)) \
	F(ov_core_create, int, (ov_core_t **)) \
	F(ov_core_read_model_from_memory_buffer, int, (const ov_core_t *, const char *, size_t, const ov_tensor_t *, ov_model_t **)) \
	F(ov_core_compile_model, int, (const ov_core_t *, const ov_model_t *, const char *, size_t, ov_compiled_model_t **, ...)) \
	F(ov_model_free, void, (ov_model_t *)) \
	F(ov_compiled_model_inputs_size, int, (const ov_compiled_model_t *, size_t *)) \
	F(ov_compiled_model_outputs_size, int, (const ov_compiled_model_t *, size_t *)) \
	F(ov_compiled_model_input_by_name, int, (const ov_compiled_model_t *, const char *, ov_output_const_port_t **)) \
	F(ov_compiled_model_create_infer_request, int, (const ov_compiled_model_t *, ov_infer_request_t **)) \
	F(ov_compiled_model_free, void, (ov_compiled_model_t *)) \
	F(ov_output_const_port_free, void, (ov_output_const_port_t *)) \
	F(ov_infer_request_set_tensor, int, (ov_infer_request_t *, const char *, const ov_tensor_t *)) \
	F(ov_infer_request_get_output_tensor_by_index, int, (const ov_infer_request_t *, size_t, ov_tensor_t **)) \
	F(ov_infer_request_infer, int, (ov_infer_request_t *)) \
	F(ov_infer_request_free, void, (ov_infer_request_t *)) \
	F(ov_tensor_create, int, (int, ov_shape_t, ov_tensor_t **)) \
	F(ov_tensor_get_shape, int, (const ov_tensor_t *, ov_shape_t *)) \
	F(ov_tensor_get_element_type, int, (const ov_tensor_t *, int *)) \
	F(ov_tensor_get_size, int, (const ov_tensor_t *, size_t *)) \
	F(ov_tensor_get_byte_size, int, (const ov_tensor_t *, size_t *)) \
	F(ov_tensor_data, int, (const ov_tensor_t *, void **)) \
	F(ov_tensor_free, void, (ov_tensor_t *)) \
	F(ov_shape_free, int, (ov_shape_t *))

#ifdef _WIN32
#define OV_PATH_FUNCTION(F) F(ov_core_read_model_unicode, int, (const ov_core_t *, const wchar_t *, const wchar_t *, ov_model_t **))
#else
#define OV_PATH_FUNCTION(F) F(ov_core_read_model, int, (const ov_core_t *, const char *, const char *, ov_model_t **))
#endif

#define OV_POINTER(name, result, arguments) static result(*p_##name) arguments;
OV_FUNCTIONS(OV_POINTER)
OV_PATH_FUNCTION(OV_POINTER)

#define INVALID_C_PARAM -14

static ov_core_t *core;

static char *text(const char *format, const char *a, const char *b) {
	size_t n = strlen(format) + strlen(a) + strlen(b) + 1;
	char *s = malloc(n);
	if (s) snprintf(s, n, format, a, b);
	return s;
}

// failed returns the message of a status. The library keeps one last message, so
// of two calls that fail at the same time one may get the other's.
static char *failed(int status) {
	const char *info = p_ov_get_error_info(status);
	const char *last = p_ov_get_last_err_msg();
	char *s = text("%s: %s", info ? info : "error", last ? last : "no message");
	if (last) p_ov_free(last);
	return s ? s : strdup("out of memory");
}

#ifdef _WIN32
// wide converts UTF-8, for the caller to free.
static wchar_t *wide(const char *s) {
	int n = MultiByteToWideChar(CP_UTF8, 0, s, -1, NULL, 0);
	wchar_t *w = n > 0 ? malloc(n * sizeof *w) : NULL;
	if (w) MultiByteToWideChar(CP_UTF8, 0, s, -1, w, n);
	return w;
}
#endif

// The bytes of an element, by the numbers of ov_element_type_e. The enumeration
// has changed between versions, and a tensor shows which one a library has.
static const struct {
	int type;
	size_t bytes;
} sizes[] = {{1, 1}, {2, 2}, {3, 2}, {4, 4}, {5, 8}, {7, 1}, {8, 2}, {9, 4}, {10, 8}, {16, 1}, {17, 2}, {18, 4}, {19, 8}};

static char *check_types(void) {
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		int64_t one = 1;
		ov_shape_t shape = {1, &one};
		ov_tensor_t *t = NULL;
		size_t bytes = 0;
		int status = p_ov_tensor_create(sizes[i].type, shape, &t);
		if (status) return failed(status);
		status = p_ov_tensor_get_byte_size(t, &bytes);
		p_ov_tensor_free(t);
		if (status || bytes != sizes[i].bytes) return strdup("its element types have other numbers: it is older than 2025.0, or newer than this program knows");
	}
	return NULL;
}

char *attnx_ov_load(const char *path) {
	if (core) return NULL;
#ifdef _WIN32
	wchar_t *name = wide(path);
	HMODULE library = name ? LoadLibraryExW(name, NULL, LOAD_WITH_ALTERED_SEARCH_PATH) : NULL; // finds the libraries beside it
	free(name);
	if (!library) return strdup("it does not load");
#define OV_FIND(name, result, arguments) \
	if (!(p_##name = (void *)GetProcAddress(library, #name))) return strdup("it has no function " #name);
#else
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) return strdup(dlerror());
#define OV_FIND(name, result, arguments) \
	if (!(p_##name = dlsym(library, #name))) return strdup("it has no function " #name);
#endif
	OV_FUNCTIONS(OV_FIND)
	OV_PATH_FUNCTION(OV_FIND)
	char *wrong = check_types();
	if (wrong) return wrong;
	int status = p_ov_core_create(&core);
	return status ? failed(status) : NULL;
}

char *attnx_ov_version(void) {
	ov_version_t v = {0};
	if (!core || p_ov_get_openvino_version(&v)) return NULL;
	char *s = v.buildNumber ? strdup(v.buildNumber) : NULL;
	p_ov_version_free(&v);
	return s;
}

// compile passes the properties on: the API takes them as variable arguments.
static int compile(const ov_model_t *model, const char *const *a, size_t count, ov_compiled_model_t **compiled) {
	const char *b[8] = {0};
	for (size_t i = 0; i < count && i < 8; i++) b[i] = a[i];
	return p_ov_core_compile_model(core, model, "CPU", count < 8 ? count : 8, compiled, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
}

char *attnx_ov_open(const char *path, const void *data, size_t n, const char *const *arguments, size_t count, attnx_ov *s) {
	ov_model_t *model = NULL;
	int status;
	memset(s, 0, sizeof *s);
	if (!path) {
		status = p_ov_core_read_model_from_memory_buffer(core, data, n, NULL, &model);
	} else {
#ifdef _WIN32
		wchar_t *name = wide(path);
		if (!name) return strdup("out of memory");
		status = p_ov_core_read_model_unicode(core, name, NULL, &model);
		free(name);
#else
		status = p_ov_core_read_model(core, path, NULL, &model);
#endif
	}
	if (status) return failed(status);
	status = compile(model, arguments, count, &s->compiled);
	char *wrong = status ? failed(status) : NULL;
	p_ov_model_free(model);
	if (!wrong && ((status = p_ov_compiled_model_inputs_size(s->compiled, &s->inputs)) || (status = p_ov_compiled_model_outputs_size(s->compiled, &s->outputs)) ||
	               (status = p_ov_compiled_model_create_infer_request(s->compiled, &s->request))))
		wrong = failed(status);
	if (wrong) attnx_ov_close(s);
	return wrong;
}

void attnx_ov_close(attnx_ov *s) {
	if (s->request) p_ov_infer_request_free(s->request);
	if (s->compiled) p_ov_compiled_model_free(s->compiled);
	memset(s, 0, sizeof *s);
}

int attnx_ov_has(const attnx_ov *s, const char *name) {
	ov_output_const_port_t *port = NULL;
	int status = p_ov_compiled_model_input_by_name(s->compiled, name, &port);
	if (port) p_ov_output_const_port_free(port);
	return status == 0;
}

char *attnx_ov_input(attnx_ov *s, const char *name, int type, int64_t rank, int64_t *dims, const void *data, size_t bytes) {
	ov_shape_t shape = {rank, dims};
	ov_tensor_t *t = NULL;
	void *to = NULL;
	int status = p_ov_tensor_create(type, shape, &t);
	if (!status && bytes > 0) status = p_ov_tensor_data(t, &to);
	if (!status && bytes > 0) memcpy(to, data, bytes);
	if (!status) status = p_ov_infer_request_set_tensor(s->request, name, t); // keeps a hold on the tensor
	char *wrong = status ? failed(status) : NULL;
	if (t) p_ov_tensor_free(t);
	return wrong;
}

char *attnx_ov_infer(attnx_ov *s) {
	int status = p_ov_infer_request_infer(s->request);
	return status ? failed(status) : NULL;
}

char *attnx_ov_output(attnx_ov *s, size_t i, int *type, int64_t *rank, int64_t dims[16], const void **data, size_t *bytes) {
	ov_tensor_t *t = NULL;
	ov_shape_t shape = {0, NULL};
	void *at = NULL;
	size_t elements = 0;
	int status = p_ov_infer_request_get_output_tensor_by_index(s->request, i, &t);
	if (!status) status = p_ov_tensor_get_element_type(t, type);
	if (!status) status = p_ov_tensor_get_byte_size(t, bytes);
	// The API has no shape without dimensions: for a scalar it refuses its own one.
	if (!status && (status = p_ov_tensor_get_shape(t, &shape)) == INVALID_C_PARAM && !p_ov_tensor_get_size(t, &elements) && elements == 1) status = 0;
	if (!status && *bytes > 0) status = p_ov_tensor_data(t, &at);
	char *wrong = status ? failed(status) : NULL;
	*rank = shape.rank;
	*data = at;
	if (!wrong && shape.rank > 16) wrong = strdup("an output of more than 16 dimensions");
	for (int64_t d = 0; !wrong && d < shape.rank; d++) dims[d] = shape.dims[d];
	if (shape.dims) p_ov_shape_free(&shape);
	if (t) p_ov_tensor_free(t); // the request keeps the memory
	return wrong;
}
