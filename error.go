package attnx

// Error says why something was not done, and what to do about it.
type Error struct {
	Option string // the option that is at fault, such as "Data"; "" if none is
	Value  string // that it has, or "is missing"; "" where the option's name is enough
	Err    error  // the place and the reason
	Do     string // one of the remedies; "" where the reason is enough
}

// isMissing is the value of an option that has none.
const isMissing = "is missing"

// Error returns the option, the reason and the remedy as one line.
func (e *Error) Error() string {
	text := e.Err.Error()
	if e.Value != "" {
		text = e.Value + ": " + text
		if e.Option != "" {
			text = e.Option + " " + text
		}
	} else if e.Option != "" {
		text = e.Option + ": " + text
	}
	if e.Do != "" {
		text += ": " + e.Do
	}
	return text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Remedy returns what to do about it.
func (e *Error) Remedy() string { return e.Do }

// The remedies of an Error, in the terms of this package. A program that calls
// things by other names says it in its own words.
const (
	RunExported     = "run a file that attnx exported"
	CompareExported = "compare a file that attnx exported"
	ExportCache     = "export the checkpoint in the profile cache"
	ExportPlain     = "export the checkpoint in the profile plain"
	ExportFile      = "export a file in the profile plain"
	ExportAgain     = "export the checkpoint once more"
	ExportForGPU    = "export for the GPU, in float16 or bfloat16 where operators are fused and without int8 (placement.Plan lists all such nodes), or run it on the CPU"
	NotFlatOrCPU    = "take the profile cache or the CPU"
	WriteFloat32    = "write it in float32"
	ExportToMeasure = "export it with a text to measure what it lost"

	GiveData      = "give Files, Text, Reader or Data"
	GiveSameText  = "give the same text again"
	GiveExamples  = "give the same examples again as Data"
	GiveFirstText = "give the text that the run began with as Data"
	ResumeIt      = "choose another folder, or continue the run with Resume"
	BeginAgain    = "begin a new run with Train"
	SmallerBatch  = "take a smaller Batch, and Accumulate to make up for it, or a smaller Context"
	NameMore      = "name more, or train with a larger Keep"
	TakeORT       = "take the engine ort"
)

// OptionError says what is wrong with an option.
type OptionError struct {
	Option string // the name of its field
	Reason string // what follows the name in a sentence, with the remedy
	Err    error  // the cause; nil if there is no other
}

// Error returns the option and what is wrong with it as one line.
func (e *OptionError) Error() string { return e.Option + e.Reason }

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }
