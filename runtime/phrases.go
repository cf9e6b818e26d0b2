package runtime

// Phrases in the reasons and remedies of errors that name what a Go program
// does with this library. A program whose users do it in another way, such as
// with a flag, puts its own words in their place.
const (
	Caller          = "the caller"           // the source of a library that a program named
	NameLibrary     = "name a library with " // an environment variable follows
	InstallOpenVINO = "install it with openvino.Install"
	InstallLibrary  = "install it with library.Install"    // ONNX Runtime
	InstallGPU      = "install the GPU build"              // of ONNX Runtime
	OrNameGPU       = InstallGPU + ", or name one with "   // an environment variable follows
	InstallAgain    = InstallGPU + " again"                // its files are damaged
	DiagnoseEach    = "library.DiagnoseMachine names each" // of CUDA's libraries
	UseCPU          = "use the CPU"                        // instead of CUDA
	AskOracle       = "compare with the oracle"
	ExportCache     = "export it with the profile cache" // a file that the decode loop cannot drive
)
