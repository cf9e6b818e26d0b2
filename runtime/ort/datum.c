//go:build cgo

#include "datum.h"

#include <string.h>

#define TRY(call)                     \
	do {                              \
		OrtStatus *status_ = (call);  \
		if (status_) return status_;  \
	} while (0)

static OrtStatus *new_tensor(int type, const int64_t *dims, size_t rank, OrtValue **out) {
	OrtAllocator *allocator = NULL;
	TRY(ORT(GetAllocatorWithDefaultOptions)(&allocator));
	return ORT(CreateTensorAsOrtValue)(allocator, dims, rank, type, out);
}

OrtStatus *attnx_numbers(int type, const int64_t *dims, size_t rank, const void *data, size_t bytes, OrtValue **out) {
	void *to = NULL;
	TRY(new_tensor(type, dims, rank, out));
	TRY(ORT(GetTensorMutableData)(*out, &to));
	if (bytes) memcpy(to, data, bytes);
	return NULL;
}

OrtStatus *attnx_strings(const int64_t *dims, size_t rank, const char *const *strings, size_t n, OrtValue **out) {
	TRY(new_tensor(ATTNX_STRING, dims, rank, out));
	return n ? ORT(FillStringTensor)(*out, strings, n) : NULL;
}

OrtStatus *attnx_collect(OrtValue **parts, size_t n, int kind, OrtValue **out) {
	return ORT(CreateValue)((const OrtValue *const *)parts, n, kind, out);
}

void attnx_drop(OrtValue *v) {
	if (v) ORT(ReleaseValue)(v);
}

static OrtStatus *tensor_content(OrtValue *v, OrtTensorTypeAndShapeInfo *info, attnx_content *c) {
	TRY(ORT(GetTensorElementType)(info, &c->type));
	TRY(ORT(GetDimensionsCount)(info, &c->rank));
	if (c->rank > sizeof c->dims / sizeof *c->dims) return NULL; // the caller looks at the rank
	TRY(ORT(GetDimensions)(info, c->dims, c->rank));
	TRY(ORT(GetTensorShapeElementCount)(info, &c->count));
	if (c->type == ATTNX_STRING) return ORT(GetStringTensorDataLength)(v, &c->text);
	return ORT(GetTensorMutableData)(v, &c->data);
}

OrtStatus *attnx_content_of(OrtValue *v, attnx_content *c) {
	int has = 0;
	memset(c, 0, sizeof *c);
	if (!v) return NULL;
	TRY(ORT(HasValue)(v, &has));
	if (!has) return NULL;
	TRY(ORT(GetValueType)(v, &c->kind));
	if (c->kind != ATTNX_TENSOR) return ORT(GetValueCount)(v, &c->count);
	OrtTensorTypeAndShapeInfo *info = NULL;
	TRY(ORT(GetTensorTypeAndShape)(v, &info));
	OrtStatus *status = tensor_content(v, info, c);
	ORT(ReleaseTensorTypeAndShapeInfo)(info);
	return status;
}

OrtStatus *attnx_part(const OrtValue *v, int place, OrtValue **out) {
	OrtAllocator *allocator = NULL;
	TRY(ORT(GetAllocatorWithDefaultOptions)(&allocator));
	return ORT(GetValue)(v, place, allocator, out);
}

OrtStatus *attnx_text(const OrtValue *v, void *text, size_t n, size_t *offsets, size_t strings) {
	return ORT(GetStringTensorContent)(v, text, n, offsets, strings);
}

OrtStatus *attnx_run_values(attnx_device *d, const char *const *in_names, OrtValue **in, size_t inputs, const char *const *out_names, OrtValue **out, size_t outputs) {
	return ORT(Run)(d->session, d->options, in_names, (const OrtValue *const *)in, inputs, out_names, outputs, out);
}

void attnx_stop(attnx_device *d) {
	OrtStatus *status = ORT(RunOptionsSetTerminate)(d->options);
	if (status) ORT(ReleaseStatus)(status);
}
