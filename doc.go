// Package attnx is the application: it trains self-attention language models in
// Go and hands them to ONNX runtimes, with proof that nothing changed on the way.
// Train and Resume make a model, Load and Open read one, Text.Generate continues
// texts, Export writes ONNX
// files and folders for other tools, Convert reads and writes Hugging Face's
// folders, and Verify compares an export in every runtime with a float64 oracle.
// Errors speak of the library; cmd/attnx has the flags and the printing.
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
//     runtime/ort ONNX Runtime, whose library runtime/ort/library finds and
//     installs, runtime/onnxgo onnx-go, and runtime/conform the suite that all
//     of them pass;
//   - model/foreign reads ONNX files of other tools, internal/output says what may
//     be written where;
//   - internal/find leads from a path to the model that it means;
//   - cmd/attnx is the command line;
//   - fixtures holds golden numbers and a small text.
//
// README.md says what it is for, ARCHITECTURE.md why it is built this way.
package attnx
