// Package declared reads what an ONNX file declares, without a runtime: its inputs
// and outputs with the names of their dimensions, and the tables in which inputs
// are looked up. A runtime's own C API reports less, or only after loading the
// model. It also adds an input or an output to a file's bytes, for a runtime's
// binding that needs it.
package declared
