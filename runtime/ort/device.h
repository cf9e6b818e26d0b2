// A model opened on one device, with tensors bound to memory that stays there.

#ifndef ATTNX_ORT_DEVICE_H
#define ATTNX_ORT_DEVICE_H

#include "api.h"

enum { ATTNX_MAX_RANK = 16 };

// An input or an output, and what is bound to it. Go writes data, bytes, dims
// and rank and sets dirty; attnx_run makes the tensor. So a binding costs no
// call into C.
typedef struct {
	char *name;
	int type; // of the elements, the number of the C API
	int rank;
	int64_t dims[ATTNX_MAX_RANK];
	void *data; // NULL: never bound
	size_t bytes;
	OrtValue *value;
	int dirty; // data, dims or rank are not those of value
	int host;  // an input that a node reads on the host though the model runs elsewhere
} attnx_slot;

// An initializer whose elements are given with the model.
typedef struct {
	char *name;
	int type, rank;
	int64_t dims[ATTNX_MAX_RANK];
	void *data;
	size_t bytes;
	OrtValue *value; // which the session reads
} attnx_weight;

typedef struct {
	OrtSession *session;
	OrtIoBinding *binding;
	OrtRunOptions *options;
	OrtMemoryInfo *memory;
	OrtMemoryInfo *host;     // of weights; NULL without any
	attnx_weight *weights;
	size_t given;            // weights
	OrtAllocator *allocator; // of the device's memory; NULL on the CPU
	attnx_slot *slots;       // the inputs, then the outputs
	int inputs, outputs;
	int graphs;     // runs are recorded and repeated
	int64_t replay; // the name of the run that the options hold
	int failed;     // the slot that the last error is about, -1 if about none
} attnx_device;

// What attnx_open needs to know, in C's memory.
typedef struct {
	const attnx_char *path;    // NULL: the model is given as bytes
	const attnx_char *profile; // NULL: none
	int level, threads;
	int cuda; // 0: the CPU
	int device_id;
	const char **entry_keys, **entry_values; // configuration of the session
	size_t entries;
	const char **cuda_keys, **cuda_values; // options of the provider
	size_t cuda_options;
} attnx_settings;

// attnx_open fills in d, whose slots have names and types, and returns NULL or
// the error. d is fit for attnx_close either way.
OrtStatus *attnx_open(attnx_device *d, const attnx_settings *s, const void *model, size_t n);

// attnx_run binds what is dirty, runs, and waits for the results.
OrtStatus *attnx_run(attnx_device *d, int64_t replay);

// attnx_close frees everything but d and its slots.
void attnx_close(attnx_device *d);

OrtStatus *attnx_alloc(attnx_device *d, size_t n, void **out);
void attnx_free(attnx_device *d, void *p);

// attnx_metadata sets *value to a string for attnx_release, NULL if there is no such key.
OrtStatus *attnx_metadata(attnx_device *d, const char *key, char **value);
void attnx_release(char *value);

// attnx_assignment sets *text to four strings for each node: the provider that
// runs it, its domain ("" is ONNX's own), its operator and its name, each with
// its zero, *n bytes in all, for the caller to free. It is NULL where there are
// none, and where memory ran out.
OrtStatus *attnx_assignment(attnx_device *d, char **text, size_t *n);

OrtStatus *attnx_providers(char ***names, int *n);
void attnx_providers_release(char **names, int n);
const char *attnx_build(void);

const char *attnx_message(OrtStatus *s);
void attnx_status_release(OrtStatus *s);

#endif
