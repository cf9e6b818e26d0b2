// Package attnx trains networks in Go, exports them to ONNX, runs them, and checks
// every runtime against a float64 oracle. It is the application behind the command
// attnx. Its errors name the options of this package; the command translates them to
// flags.
//
// Train makes a model from a text or from examples, and Resume continues a run that
// was stopped. Load and Open read a checkpoint, a run, a Hugging Face folder or an
// ONNX file, and FromGorgonia a graph of Gorgonia. Text.Generate continues texts. Export writes ONNX files and folders for
// other tools, and Convert reads and writes Hugging Face folders. Verify compares an
// export in every runtime with the oracle, Compare shows the differences between two
// models, and Inspect reports the contents of a file.
//
// The packages below it, in the order of a model's life:
//
//   - model/tokens turns text into ids and back;
//   - model/nn has the layers of networks, model/arch the networks that attnx
//     ships, and model/graph the graph that a network becomes;
//   - model is a graph with weights, and its checkpoint; model/role defines the
//     purposes of inputs and outputs;
//   - model/train trains: data, AdamW, the loop; model/train/gorgonia is the engine
//     in pure Go;
//   - model/huggingface and model/foreign read models of other tools, model/exprgraph
//     networks that were written in Gorgonia;
//   - format is the checkpoint file, format/store the safe way to write one;
//   - export writes a graph as ONNX; export/onnx is the ONNX file itself,
//     export/onnx/read reads ONNX files of any tool, and export/placement reports
//     where CUDA would run them;
//   - runtime compares, and runtime/decode generates; runtime/ref is the oracle,
//     runtime/ort ONNX Runtime, runtime/onnxgo onnx-go, and runtime/conform the
//     suite that all of them pass;
//   - cmd/attnx is the command line, and fixtures holds golden numbers.
//
// README.md introduces attnx. ARCHITECTURE.md explains its design.
package attnx
