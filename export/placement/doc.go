// Package placement says, without a GPU, where ONNX Runtime would run each
// node of a model that is opened for CUDA, and which copies between the
// memories of the processor and of the GPU it would put in.
//
// The facts are in kernels.tsv: the kernels of ONNX Runtime's CPU and CUDA
// providers with their versions, element types and the inputs and outputs that
// they keep in the CPU's memory, and the operators that are not as
// export/onnx/schema has them. They come from the registry of the version that [Version] names, from which
// ONNX Runtime generates its published list, docs/OperatorKernels.md;
// fixtures/oracle/placement_kernels.py writes the file anew.
//
// The rules are ONNX Runtime's, each with its source beside it. They are
// applied to the model as it is in the file: optimisations remove, fuse and
// add nodes. Not told are what depends on the machine and on values: CUDA
// kernels that refuse a GPU or a shape when they run, and the attributes by
// which LSTM, GRU, RNN and ConvTranspose fall back.
package placement
