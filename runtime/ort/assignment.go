package ort

// Assignment reports where one node of a model runs.
type Assignment struct {
	Node     string // the node's name in the file
	Domain   string // "" for ONNX's own operators
	Op       string
	Provider string // "CPUExecutionProvider", "CUDAExecutionProvider"
}
