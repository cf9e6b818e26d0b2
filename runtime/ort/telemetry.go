//go:build cgo

package ort

import "os"

// envTelemetry disables telemetry if it is 1 when the library is loaded.
// Without it, official builds from 1.29 on do the following on Linux and macOS:
// a thread reports to their maker which sessions a process opens, an identifier
// of the machine is written to the user's cache, and a log to the folder for
// temporary files. Source: microsoft/onnxruntime, pull request 27379 and
// docs/Privacy.md.
const envTelemetry = "ORT_DISABLE_TELEMETRY"

// refuseTelemetry disables telemetry before the library is loaded, unless the
// user has set the variable.
func refuseTelemetry() {
	if _, decided := os.LookupEnv(envTelemetry); !decided {
		os.Setenv(envTelemetry, "1") // sets it in C's environment too; it fails only for invalid names
	}
}
