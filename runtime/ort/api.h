// The part of ONNX Runtime's C API that this package calls.
//
// OrtGetApiBase()->GetApi(24) returns a table of function pointers to which
// newer versions only append, so a function is known by its place. Each line
// below is a place, a name, a result and the arguments, as they stand in
// onnxruntime_c_api.h of API version 24; TestTable holds them against that
// header, which the binding brings along.

#ifndef ATTNX_ORT_API_H
#define ATTNX_ORT_API_H

#include <stddef.h>
#include <stdint.h>

#define ATTNX_ORT_VERSION 24

#ifdef _WIN32
#include <wchar.h>
#define ORT_CALL __stdcall
typedef wchar_t attnx_char; // of a path
#else
#define ORT_CALL
typedef char attnx_char;
#endif

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtIoBinding OrtIoBinding;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef struct OrtValue OrtValue;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtModelMetadata OrtModelMetadata;
typedef struct OrtCUDAProviderOptionsV2 OrtCUDAProviderOptionsV2;
typedef struct OrtEpAssignedSubgraph OrtEpAssignedSubgraph;
typedef struct OrtEpAssignedNode OrtEpAssignedNode;

// The enumerations of the API travel as int.
#define ORT_FUNCTIONS(F) \
	F(2, GetErrorMessage, const char *, (const OrtStatus *)) \
	F(3, CreateEnv, OrtStatus *, (int level, const char *id, OrtEnv **)) \
	F(7, CreateSession, OrtStatus *, (const OrtEnv *, const attnx_char *path, const OrtSessionOptions *, OrtSession **)) \
	F(8, CreateSessionFromArray, OrtStatus *, (const OrtEnv *, const void *model, size_t n, const OrtSessionOptions *, OrtSession **)) \
	F(9, Run, OrtStatus *, (OrtSession *, const OrtRunOptions *, const char *const *in_names, const OrtValue *const *in, size_t inputs, const char *const *out_names, size_t outputs, OrtValue **out)) \
	F(10, CreateSessionOptions, OrtStatus *, (OrtSessionOptions **)) \
	F(14, EnableProfiling, OrtStatus *, (OrtSessionOptions *, const attnx_char *prefix)) \
	F(22, SetSessionLogSeverityLevel, OrtStatus *, (OrtSessionOptions *, int level)) \
	F(23, SetSessionGraphOptimizationLevel, OrtStatus *, (OrtSessionOptions *, int level)) \
	F(24, SetIntraOpNumThreads, OrtStatus *, (OrtSessionOptions *, int n)) \
	F(39, CreateRunOptions, OrtStatus *, (OrtRunOptions **)) \
	F(46, RunOptionsSetTerminate, OrtStatus *, (OrtRunOptions *)) \
	F(48, CreateTensorAsOrtValue, OrtStatus *, (OrtAllocator *, const int64_t *dims, size_t rank, int type, OrtValue **)) \
	F(49, CreateTensorWithDataAsOrtValue, OrtStatus *, (const OrtMemoryInfo *, void *data, size_t n, const int64_t *dims, size_t rank, int type, OrtValue **)) \
	F(51, GetTensorMutableData, OrtStatus *, (OrtValue *, void **)) \
	F(52, FillStringTensor, OrtStatus *, (OrtValue *, const char *const *strings, size_t n)) \
	F(53, GetStringTensorDataLength, OrtStatus *, (const OrtValue *, size_t *n)) \
	F(54, GetStringTensorContent, OrtStatus *, (const OrtValue *, void *text, size_t n, size_t *offsets, size_t strings)) \
	F(60, GetTensorElementType, OrtStatus *, (const OrtTensorTypeAndShapeInfo *, int *type)) \
	F(61, GetDimensionsCount, OrtStatus *, (const OrtTensorTypeAndShapeInfo *, size_t *rank)) \
	F(62, GetDimensions, OrtStatus *, (const OrtTensorTypeAndShapeInfo *, int64_t *dims, size_t rank)) \
	F(64, GetTensorShapeElementCount, OrtStatus *, (const OrtTensorTypeAndShapeInfo *, size_t *n)) \
	F(65, GetTensorTypeAndShape, OrtStatus *, (const OrtValue *, OrtTensorTypeAndShapeInfo **)) \
	F(67, GetValueType, OrtStatus *, (const OrtValue *, int *kind)) \
	F(68, CreateMemoryInfo, OrtStatus *, (const char *name, int allocator, int id, int type, OrtMemoryInfo **)) \
	F(75, AllocatorAlloc, OrtStatus *, (OrtAllocator *, size_t n, void **)) \
	F(76, AllocatorFree, OrtStatus *, (OrtAllocator *, void *)) \
	F(78, GetAllocatorWithDefaultOptions, OrtStatus *, (OrtAllocator **)) \
	F(80, GetValue, OrtStatus *, (const OrtValue *, int place, OrtAllocator *, OrtValue **)) \
	F(81, GetValueCount, OrtStatus *, (const OrtValue *, size_t *n)) \
	F(82, CreateValue, OrtStatus *, (const OrtValue *const *, size_t n, int kind, OrtValue **)) \
	F(93, ReleaseStatus, void, (OrtStatus *)) \
	F(94, ReleaseMemoryInfo, void, (OrtMemoryInfo *)) \
	F(95, ReleaseSession, void, (OrtSession *)) \
	F(96, ReleaseValue, void, (OrtValue *)) \
	F(97, ReleaseRunOptions, void, (OrtRunOptions *)) \
	F(99, ReleaseTensorTypeAndShapeInfo, void, (OrtTensorTypeAndShapeInfo *)) \
	F(100, ReleaseSessionOptions, void, (OrtSessionOptions *)) \
	F(111, SessionGetModelMetadata, OrtStatus *, (const OrtSession *, OrtModelMetadata **)) \
	F(116, ModelMetadataLookupCustomMetadataMap, OrtStatus *, (const OrtModelMetadata *, OrtAllocator *, const char *key, char **)) \
	F(118, ReleaseModelMetadata, void, (OrtModelMetadata *)) \
	F(125, GetAvailableProviders, OrtStatus *, (char ***, int *n)) \
	F(126, ReleaseAvailableProviders, OrtStatus *, (char **, int n)) \
	F(130, AddSessionConfigEntry, OrtStatus *, (OrtSessionOptions *, const char *key, const char *value)) \
	F(131, CreateAllocator, OrtStatus *, (const OrtSession *, const OrtMemoryInfo *, OrtAllocator **)) \
	F(132, ReleaseAllocator, void, (OrtAllocator *)) \
	F(133, RunWithBinding, OrtStatus *, (OrtSession *, const OrtRunOptions *, const OrtIoBinding *)) \
	F(134, CreateIoBinding, OrtStatus *, (OrtSession *, OrtIoBinding **)) \
	F(135, ReleaseIoBinding, void, (OrtIoBinding *)) \
	F(136, BindInput, OrtStatus *, (OrtIoBinding *, const char *name, const OrtValue *)) \
	F(137, BindOutput, OrtStatus *, (OrtIoBinding *, const char *name, const OrtValue *)) \
	F(150, AddInitializer, OrtStatus *, (OrtSessionOptions *, const char *name, const OrtValue *)) \
	F(165, AddRunConfigEntry, OrtStatus *, (OrtRunOptions *, const char *key, const char *value)) \
	F(192, HasValue, OrtStatus *, (const OrtValue *, int *has)) \
	F(202, SynchronizeBoundInputs, OrtStatus *, (OrtIoBinding *)) \
	F(203, SynchronizeBoundOutputs, OrtStatus *, (OrtIoBinding *)) \
	F(204, SessionOptionsAppendExecutionProvider_CUDA_V2, OrtStatus *, (OrtSessionOptions *, const OrtCUDAProviderOptionsV2 *)) \
	F(205, CreateCUDAProviderOptions, OrtStatus *, (OrtCUDAProviderOptionsV2 **)) \
	F(206, UpdateCUDAProviderOptions, OrtStatus *, (OrtCUDAProviderOptionsV2 *, const char *const *keys, const char *const *values, size_t n)) \
	F(208, ReleaseCUDAProviderOptions, void, (OrtCUDAProviderOptionsV2 *)) \
	F(225, MemoryInfoGetDeviceType, void, (const OrtMemoryInfo *, int *type)) \
	F(254, GetBuildInfoString, const char *, (void)) \
	F(380, SessionGetMemoryInfoForInputs, OrtStatus *, (const OrtSession *, const OrtMemoryInfo **, size_t n)) \
	F(407, Session_GetEpGraphAssignmentInfo, OrtStatus *, (const OrtSession *, const OrtEpAssignedSubgraph *const **, size_t *n)) \
	F(408, EpAssignedSubgraph_GetEpName, OrtStatus *, (const OrtEpAssignedSubgraph *, const char **)) \
	F(409, EpAssignedSubgraph_GetNodes, OrtStatus *, (const OrtEpAssignedSubgraph *, const OrtEpAssignedNode *const **, size_t *n)) \
	F(410, EpAssignedNode_GetName, OrtStatus *, (const OrtEpAssignedNode *, const char **)) \
	F(411, EpAssignedNode_GetDomain, OrtStatus *, (const OrtEpAssignedNode *, const char **)) \
	F(412, EpAssignedNode_GetOperatorType, OrtStatus *, (const OrtEpAssignedNode *, const char **))

#define ORT_PLACE(place, name, result, arguments) place_##name = place,
enum { ORT_FUNCTIONS(ORT_PLACE) };

#define ORT_TYPE(place, name, result, arguments) typedef result(ORT_CALL *function_##name) arguments;
ORT_FUNCTIONS(ORT_TYPE)

// The table and the environment, once attnx_load returned NULL.
extern void *const *attnx_table;
extern OrtEnv *attnx_env;

#define ORT(name) ((function_##name)attnx_table[place_##name])

// attnx_load takes the table of the library at path, which the process holds
// already, and returns NULL or what is wrong. It is called once at a time.
const char *attnx_load(const attnx_char *path);

#endif
