package ort

// Assignment says where one node of a model runs.
type Assignment struct {
	Node     string // its name in the file
	Domain   string // "" for ONNX's own operators
	Op       string
	Provider string // "CPUExecutionProvider", "CUDAExecutionProvider"
}
