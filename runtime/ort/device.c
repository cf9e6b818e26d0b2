//go:build cgo

#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Numbers of the C API's enumerations.
enum { LOG_FATAL = 4, DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0, ON_GPU = 1 };

#define TRY(call)                     \
	do {                              \
		OrtStatus *status_ = (call);  \
		if (status_) return status_;  \
	} while (0)

static OrtStatus *append_cuda(OrtSessionOptions *options, const attnx_settings *s) {
	OrtCUDAProviderOptionsV2 *cuda = NULL;
	TRY(ORT(CreateCUDAProviderOptions)(&cuda));
	OrtStatus *status = ORT(UpdateCUDAProviderOptions)(cuda, s->cuda_keys, s->cuda_values, s->cuda_options);
	if (!status) status = ORT(SessionOptionsAppendExecutionProvider_CUDA_V2)(options, cuda);
	ORT(ReleaseCUDAProviderOptions)(cuda);
	return status;
}

static OrtStatus *configure(OrtSessionOptions *options, const attnx_settings *s) {
	TRY(ORT(SetSessionGraphOptimizationLevel)(options, s->level));
	TRY(ORT(SetIntraOpNumThreads)(options, s->threads));
	TRY(ORT(SetSessionLogSeverityLevel)(options, LOG_FATAL));
	if (s->profile) TRY(ORT(EnableProfiling)(options, s->profile));
	for (size_t i = 0; i < s->entries; i++)
		TRY(ORT(AddSessionConfigEntry)(options, s->entry_keys[i], s->entry_values[i]));
	if (s->cuda) TRY(append_cuda(options, s));
	return NULL;
}

// find_host_inputs marks the inputs that a node reads on the host. ONNX
// Runtime copies such an input when it is bound and not when it runs, so they
// are bound again for every run. Where it does not say, all are.
static void find_host_inputs(attnx_device *d) {
	const OrtMemoryInfo **infos = calloc(d->inputs, sizeof *infos);
	OrtStatus *status = infos ? ORT(SessionGetMemoryInfoForInputs)(d->session, infos, d->inputs) : NULL;
	for (int i = 0; i < d->inputs; i++) {
		int type = -1;
		if (infos && !status && infos[i]) ORT(MemoryInfoGetDeviceType)(infos[i], &type);
		d->slots[i].host = type != ON_GPU;
	}
	if (status) ORT(ReleaseStatus)(status);
	free(infos);
}

// add_weights gives the weights to the session's options. ONNX Runtime reads them
// where they are (AddExternalInitializers copies them).
static OrtStatus *add_weights(attnx_device *d, OrtSessionOptions *options) {
	if (d->given) TRY(ORT(CreateMemoryInfo)("Cpu", DEVICE_ALLOCATOR, 0, DEFAULT_MEMORY, &d->host));
	for (size_t i = 0; i < d->given; i++) {
		attnx_weight *w = &d->weights[i];
		TRY(ORT(CreateTensorWithDataAsOrtValue)(d->host, w->data, w->bytes, w->dims, w->rank, w->type, &w->value));
		TRY(ORT(AddInitializer)(options, w->name, w->value));
	}
	return NULL;
}

OrtStatus *attnx_open(attnx_device *d, const attnx_settings *s, const void *model, size_t n) {
	OrtSessionOptions *options = NULL;
	TRY(ORT(CreateSessionOptions)(&options));
	OrtStatus *status = configure(options, s);
	if (!status) status = add_weights(d, options);
	if (!status) {
		status = s->path ? ORT(CreateSession)(attnx_env, s->path, options, &d->session)
		                 : ORT(CreateSessionFromArray)(attnx_env, model, n, options, &d->session);
	}
	ORT(ReleaseSessionOptions)(options);
	if (status) return status;
	TRY(ORT(CreateIoBinding)(d->session, &d->binding));
	TRY(ORT(CreateRunOptions)(&d->options));
	const char *device = s->cuda ? "Cuda" : "Cpu";
	TRY(ORT(CreateMemoryInfo)(device, DEVICE_ALLOCATOR, s->cuda ? s->device_id : 0, DEFAULT_MEMORY, &d->memory));
	if (!s->cuda) return NULL;
	TRY(ORT(CreateAllocator)(d->session, d->memory, &d->allocator));
	find_host_inputs(d);
	if (d->graphs) TRY(ORT(AddRunConfigEntry)(d->options, "gpu_graph_id", "-1"));
	return NULL;
}

// bind makes the tensor of slot i and binds it by name.
static OrtStatus *bind(attnx_device *d, int i) {
	attnx_slot *s = &d->slots[i];
	if (s->dirty) {
		OrtValue *value = NULL;
		TRY(ORT(CreateTensorWithDataAsOrtValue)(d->memory, s->data, s->bytes, s->dims, s->rank, s->type, &value));
		if (s->value) ORT(ReleaseValue)(s->value);
		s->value = value;
	}
	if (i < d->inputs) TRY(ORT(BindInput)(d->binding, s->name, s->value));
	else TRY(ORT(BindOutput)(d->binding, s->name, s->value));
	s->dirty = 0;
	return NULL;
}

OrtStatus *attnx_run(attnx_device *d, int64_t replay) {
	int copied = 0;
	for (int i = 0; i < d->inputs + d->outputs; i++) {
		if (!d->slots[i].dirty && !d->slots[i].host) continue;
		d->failed = i;
		TRY(bind(d, i));
		copied |= d->slots[i].host;
	}
	d->failed = -1;
	if (copied) TRY(ORT(SynchronizeBoundInputs)(d->binding));
	if (d->graphs && replay != d->replay) {
		char id[24];
		snprintf(id, sizeof id, "%lld", replay > 0 ? (long long)replay : -1LL);
		TRY(ORT(AddRunConfigEntry)(d->options, "gpu_graph_id", id));
		d->replay = replay;
	}
	TRY(ORT(RunWithBinding)(d->session, d->options, d->binding));
	return d->allocator ? ORT(SynchronizeBoundOutputs)(d->binding) : NULL;
}

void attnx_close(attnx_device *d) {
	for (int i = 0; i < d->inputs + d->outputs; i++) {
		if (d->slots[i].value) ORT(ReleaseValue)(d->slots[i].value);
		d->slots[i].value = NULL;
	}
	if (d->binding) ORT(ReleaseIoBinding)(d->binding);
	if (d->options) ORT(ReleaseRunOptions)(d->options);
	if (d->allocator) ORT(ReleaseAllocator)(d->allocator);
	if (d->memory) ORT(ReleaseMemoryInfo)(d->memory);
	if (d->session) ORT(ReleaseSession)(d->session);
	for (size_t i = 0; i < d->given; i++) {
		if (d->weights[i].value) ORT(ReleaseValue)(d->weights[i].value);
		d->weights[i].value = NULL;
	}
	if (d->host) ORT(ReleaseMemoryInfo)(d->host);
	d->binding = NULL, d->options = NULL, d->allocator = NULL, d->memory = NULL, d->session = NULL, d->host = NULL;
}

OrtStatus *attnx_alloc(attnx_device *d, size_t n, void **out) {
	return ORT(AllocatorAlloc)(d->allocator, n, out);
}

void attnx_free(attnx_device *d, void *p) {
	OrtStatus *status = ORT(AllocatorFree)(d->allocator, p);
	if (status) ORT(ReleaseStatus)(status);
}

OrtStatus *attnx_metadata(attnx_device *d, const char *key, char **value) {
	OrtAllocator *allocator = NULL;
	OrtModelMetadata *metadata = NULL;
	TRY(ORT(GetAllocatorWithDefaultOptions)(&allocator));
	TRY(ORT(SessionGetModelMetadata)(d->session, &metadata));
	OrtStatus *status = ORT(ModelMetadataLookupCustomMetadataMap)(metadata, allocator, key, value);
	ORT(ReleaseModelMetadata)(metadata);
	return status;
}

void attnx_release(char *value) {
	OrtAllocator *allocator = NULL;
	OrtStatus *status = ORT(GetAllocatorWithDefaultOptions)(&allocator);
	if (!status) status = ORT(AllocatorFree)(allocator, value);
	if (status) ORT(ReleaseStatus)(status);
}

// append adds a string and its zero to the *n bytes of *text, and reports
// whether there was memory for it.
static int append(char **text, size_t *n, const char *string) {
	size_t more = strlen(string) + 1;
	char *grown = realloc(*text, *n + more);
	if (!grown) return 0;
	memcpy(grown + *n, string, more);
	*text = grown, *n += more;
	return 1;
}

static OrtStatus *append_node(char **text, size_t *n, const char *provider, const OrtEpAssignedNode *node) {
	const char *name = NULL, *domain = NULL, *op = NULL;
	TRY(ORT(EpAssignedNode_GetDomain)(node, &domain));
	TRY(ORT(EpAssignedNode_GetOperatorType)(node, &op));
	TRY(ORT(EpAssignedNode_GetName)(node, &name));
	if (append(text, n, provider) && append(text, n, domain) && append(text, n, op) && append(text, n, name)) return NULL;
	free(*text);
	*text = NULL, *n = 0;
	return NULL;
}

OrtStatus *attnx_assignment(attnx_device *d, char **text, size_t *n) {
	const OrtEpAssignedSubgraph *const *parts = NULL;
	size_t count = 0;
	*text = NULL, *n = 0;
	TRY(ORT(Session_GetEpGraphAssignmentInfo)(d->session, &parts, &count));
	for (size_t i = 0; i < count; i++) {
		const char *provider = NULL;
		const OrtEpAssignedNode *const *nodes = NULL;
		size_t held = 0;
		TRY(ORT(EpAssignedSubgraph_GetEpName)(parts[i], &provider));
		TRY(ORT(EpAssignedSubgraph_GetNodes)(parts[i], &nodes, &held));
		for (size_t j = 0; j < held; j++) {
			TRY(append_node(text, n, provider, nodes[j]));
			if (!*text) return NULL;
		}
	}
	return NULL;
}

OrtStatus *attnx_providers(char ***names, int *n) { return ORT(GetAvailableProviders)(names, n); }

void attnx_providers_release(char **names, int n) {
	OrtStatus *status = ORT(ReleaseAvailableProviders)(names, n);
	if (status) ORT(ReleaseStatus)(status);
}

const char *attnx_build(void) { return ORT(GetBuildInfoString)(); }

const char *attnx_message(OrtStatus *s) { return ORT(GetErrorMessage)(s); }

void attnx_status_release(OrtStatus *s) { ORT(ReleaseStatus)(s); }
