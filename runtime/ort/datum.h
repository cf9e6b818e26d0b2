// Values of any kind: tensors of numbers and of strings, sequences, maps.

#ifndef ATTNX_ORT_DATUM_H
#define ATTNX_ORT_DATUM_H

#include "device.h"

// Kinds of values, as the C API numbers them; ATTNX_NONE is a missing optional one.
enum { ATTNX_NONE = 0, ATTNX_TENSOR = 1, ATTNX_SEQUENCE = 2, ATTNX_MAP = 3 };

enum { ATTNX_STRING = 8 }; // the number of the element type

// What is in a value.
typedef struct {
	int kind;
	size_t count; // parts of a sequence or map, elements of a tensor
	int type;     // of a tensor's elements
	size_t rank;
	int64_t dims[64];
	size_t text; // bytes of a tensor's strings
	void *data;  // a tensor's numbers
} attnx_content;

// attnx_numbers makes a tensor with a copy of the data.
OrtStatus *attnx_numbers(int type, const int64_t *dims, size_t rank, const void *data, size_t bytes, OrtValue **out);
OrtStatus *attnx_strings(const int64_t *dims, size_t rank, const char *const *strings, size_t n, OrtValue **out);
OrtStatus *attnx_collect(OrtValue **parts, size_t n, int kind, OrtValue **out);
void attnx_drop(OrtValue *);

OrtStatus *attnx_content_of(OrtValue *, attnx_content *);
OrtStatus *attnx_part(const OrtValue *, int place, OrtValue **out);
OrtStatus *attnx_text(const OrtValue *, void *text, size_t n, size_t *offsets, size_t strings);

// attnx_run_values runs d's session on values. It sets out, which the caller drops.
OrtStatus *attnx_run_values(attnx_device *d, const char *const *in_names, OrtValue **in, size_t inputs, const char *const *out_names, OrtValue **out, size_t outputs);
void attnx_stop(attnx_device *d);

#endif
