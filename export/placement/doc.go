// Package placement predicts, without a GPU, where ONNX Runtime runs each node
// of a model opened for CUDA, and which copies between CPU and GPU memory it
// inserts.
//
// The facts are in kernels.tsv: the kernels of ONNX Runtime's CPU and CUDA
// providers with their versions, element types and the inputs and outputs that
// they keep in the CPU's memory, and the operators that are not as
// export/onnx/schema has them. They come from the registry of the version that [Version] names, from which
// ONNX Runtime generates its published list, docs/OperatorKernels.md;
// fixtures/oracle/placement_kernels.py writes the file anew.
//
// The rules are ONNX Runtime's; comments cite their source. They apply to the
// model as it is in the file, although optimizations remove, fuse and add
// nodes. Placement does not predict what depends on the machine or on values:
// CUDA kernels that reject a GPU or a shape at run time, and the attributes
// for which LSTM, GRU, RNN and ConvTranspose fall back.
package placement
