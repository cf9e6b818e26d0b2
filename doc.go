// Package attnx trains networks in Go, exports them to ONNX, runs them, and checks
// every runtime against a float64 oracle. It is the application behind the command
// attnx; its errors name the options of this package, the command's name flags.
//
// Train makes a model from a text or from examples, and Resume continues a run that
// was stopped. Load and Open read a checkpoint, a run, a Hugging Face folder or an
// ONNX file. Text.Generate continues texts. Export writes ONNX files and folders for
// other tools, and Convert reads and writes Hugging Face folders. Verify compares
// an export in every runtime with the oracle, Compare shows what differs between
// two models, and Inspect reports what is in a file.
//
// The packages below it, in the order of a model's life:
//
//   - model/tokens turns text into ids and back;
//   - model/nn has the layers to write a network with, model/arch the networks that
//     attnx ships, and model/graph the graph that a network becomes;
//   - model is a graph with weights, and its checkpoint; model/role says what
//     inputs and outputs are for;
//   - model/train trains: data, AdamW, the loop; model/train/gorgonia is the engine
//     in pure Go;
//   - model/huggingface and model/foreign read models of other tools;
//   - format is the checkpoint file, format/store the safe way to write one;
//   - export writes a graph as ONNX; export/onnx is the ONNX file itself,
//     export/onnx/read reads any, and export/placement reports where CUDA would
//     run it;
//   - runtime compares, and runtime/decode generates; runtime/ref is the oracle,
//     runtime/ort ONNX Runtime, runtime/onnxgo onnx-go, and runtime/conform the
//     suite that all of them pass;
//   - cmd/attnx is the command line, and fixtures holds golden numbers.
//
// README.md says what attnx is for, ARCHITECTURE.md why it is built this way.
package attnx
