// The part of OpenVINO's C API that this package calls, and what it makes of it.
// The library exports each function by its name. The declarations are those of
// the headers in its Python package (openvino/include/openvino/c).

#ifndef ATTNX_OPENVINO_API_H
#define ATTNX_OPENVINO_API_H

#include <stddef.h>
#include <stdint.h>

typedef struct ov_core ov_core_t;
typedef struct ov_model ov_model_t;
typedef struct ov_compiled_model ov_compiled_model_t;
typedef struct ov_infer_request ov_infer_request_t;
typedef struct ov_tensor ov_tensor_t;
typedef struct ov_output_const_port ov_output_const_port_t;

typedef struct {
	int64_t rank;
	int64_t *dims;
} ov_shape_t;

typedef struct {
	const char *buildNumber;
	const char *description;
} ov_version_t;

// A session: a compiled model and the request that runs it.
typedef struct {
	ov_compiled_model_t *compiled;
	ov_infer_request_t *request;
	size_t inputs, outputs;
} attnx_ov;

// The functions below return NULL, or a message that the caller frees.

// attnx_ov_load opens the library at path, once per process.
char *attnx_ov_load(const char *path);

// attnx_ov_version returns the version of the loaded library for the caller to
// free, or NULL.
char *attnx_ov_version(void);

// attnx_ov_open reads the model at path, or the n bytes of a model if path is
// NULL, and compiles it for the CPU. The arguments are the names and values of
// properties, in pairs. attnx_ov_close frees the session.
char *attnx_ov_open(const char *path, const void *model, size_t n, const char *const *arguments, size_t count, attnx_ov *s);
void attnx_ov_close(attnx_ov *s);

// attnx_ov_has returns whether there is an input of a name. An input may have
// several names.
int attnx_ov_has(const attnx_ov *s, const char *name);

// attnx_ov_input copies the bytes into a tensor and makes it the input of a name.
char *attnx_ov_input(attnx_ov *s, const char *name, int type, int64_t rank, int64_t *dims, const void *data, size_t bytes);

char *attnx_ov_infer(attnx_ov *s);

// attnx_ov_output describes output i of the last run. The memory is the session's
// until its next run. There is room for 16 dimensions.
char *attnx_ov_output(attnx_ov *s, size_t i, int *type, int64_t *rank, int64_t dims[16], const void **data, size_t *bytes);

#endif
