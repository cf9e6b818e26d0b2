package attnx

// Error reports why something was not done, and how to fix it.
type Error struct {
	Option string // the option at fault, such as "Data"; "" if none is
	Value  string // the option's value, or "is missing"; "" if the name is enough
	Err    error  // the place and the reason
	Do     string // one of the remedies; "" if the reason is enough
}

// isMissing is the value of a missing option.
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

// Remedy returns how to fix it.
func (e *Error) Remedy() string { return e.Do }

// The remedies of an Error, in the terms of this package. A program with other
// terms may reword them.
const (
	RunExported     = "run a file that attnx exported"
	CompareExported = "compare a file that attnx exported"
	ExportCache     = "export the checkpoint in the profile cache"
	ExportPlain     = "export the checkpoint in the profile plain"
	ExportFile      = "export a file in the profile plain"
	ExportAgain     = "export the checkpoint once more"
	ExportForGPU    = "export for the GPU, in float16 or bfloat16 where operators are fused and without int8 (placement.Plan lists all such nodes), or run it on the CPU"
	NotFlatOrCPU    = "take the profile cache or the CPU"
	ContinueText    = "continue a text with Generate"
	WriteFloat32    = "write it in float32"
	ExportToMeasure = "export it with a text to measure what it lost"

	GiveData      = "give Files, Text, Reader or Data"
	GiveSameText  = "give the same text again"
	GiveExamples  = "give the same examples again as Data"
	GiveFirstText = "give the text that the run began with as Data"
	ResumeIt      = "choose another folder, or continue the run with Resume"
	BeginAgain    = "begin a new run with Train"
	SmallerBatch  = "take a smaller Batch, and Accumulate to make up for it, a smaller Context, or Recompute"
	NameMore      = "name more, or train with a larger Keep"
	TrainFile     = "or name a Loss, to train the graph of the file as it is"
	WriteTokensOf = "write the tokens with WriteTokens and the tokenizer of the model"
	GiveVal       = "give the data for validation that the run began with"
	TakeORT       = "take the engine ort"
)

// OptionError reports an invalid option.
type OptionError struct {
	Option string // the name of its field
	Reason string // the rest of the sentence after the name, with the remedy
	Err    error  // the cause; may be nil
}

// Error returns the option and its fault as one line.
func (e *OptionError) Error() string { return e.Option + e.Reason }

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }
