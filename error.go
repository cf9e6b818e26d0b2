package attnx

// Error says why something was not done, and what to do about it.
type Error struct {
	Err error  // the place and the reason
	Do  string // one of the remedies
}

func (e *Error) Error() string  { return e.Err.Error() + ": " + e.Do }
func (e *Error) Unwrap() error  { return e.Err }
func (e *Error) Remedy() string { return e.Do }

// The remedies of an Error, in the terms of this package. A program that calls
// things by other names says it in its own words.
const (
	RunExported     = "run a file that attnx exported"
	CompareExported = "compare a file that attnx exported"
	ExportCache     = "export the checkpoint in the profile cache"
	ExportPlain     = "export the checkpoint in the profile plain"
	ExportAgain     = "export the checkpoint once more"
	ExportForGPU    = "export for the GPU, in float16 or bfloat16 where operators are fused and without int8 (placement.Plan lists all such nodes), or run it on the CPU"
	NotFlatOrCPU    = "take the profile cache or the CPU"
	WriteFloat32    = "write it in float32"
	ExportToMeasure = "export it with a text to measure what it lost"
)
