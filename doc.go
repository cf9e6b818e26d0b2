// Package attnx has no code: it is the front door of a module that trains
// self-attention language models in Go and hands them to ONNX runtimes, with
// proof that nothing changed on the way. The examples go the whole path.
//
// The rooms, in the order of a model's life:
//
//   - model/tokens turns text into ids and back;
//   - model defines the networks, their weights and checkpoints, and samples;
//   - model/graph is the graph that a network becomes, and its operators;
//   - model/train trains: data, AdamW, the loop; model/train/gorgonia is the engine in pure Go;
//   - format is the checkpoint file, format/store the safe way to write one;
//   - export writes a graph as ONNX, export/onnx is the ONNX file itself, and
//     export/placement tells where CUDA would run it;
//   - runtime compares and generates; runtime/ref is the float64 oracle,
//     runtime/ort ONNX Runtime, runtime/onnxgo onnx-go, and runtime/conform
//     the suite that all of them pass;
//   - cmd/attnx is the command line;
//   - fixtures holds golden numbers and a small text.
//
// README.md says what it is for, ARCHITECTURE.md why it is built this way.
package attnx
