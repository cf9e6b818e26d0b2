package ort

import (
	"regexp"

	"github.com/attnx/attnx/internal/quote"
)

// Prefixes of an error of ONNX Runtime or the binding: the function that passed
// it on, and the C++ source line that raised it.
var (
	bindingPreamble = regexp.MustCompile(`^(?:Platform-specific initialization failed: |` +
		`Error creating C session(?: from file)?: |Error creating internal AdvancedSession: |` +
		`Error running network: |Error creating tensor from ort: |ORT API error creating tensor: |` +
		`Load model from .*? failed: ?)+`)
	sourcePlace = regexp.MustCompile(`\S*[/\\]onnxruntime[/\\]core[/\\]\S+:\d+ .*?\)(?: const)?(?: \[with .*?\])? `)
	statusCode  = regexp.MustCompile(`\[ONNXRuntimeError\] : \d+ : \w+ : `)
)

// oneLine returns an error's text on one line, starting with the cause.
func oneLine(err error) string {
	s := quote.Line(err.Error(), 10_000)
	s = bindingPreamble.ReplaceAllString(s, "")
	s = sourcePlace.ReplaceAllString(s, "")
	return quote.Line(statusCode.ReplaceAllString(s, ""), 1000)
}
