//go:build cgo

package ort

import "os"

// envTelemetry turns off, set to 1 before the library is loaded, what official
// builds from 1.29 on do on Linux and macOS: a thread that reports to their
// maker which sessions a process opens, an identifier of the machine in the
// user's cache, and a log in the folder for temporary files. Source:
// microsoft/onnxruntime, pull request 27379 and docs/Privacy.md.
const envTelemetry = "ORT_DISABLE_TELEMETRY"

// refuseTelemetry keeps the library that is about to be loaded from reporting
// anything, unless the user's environment has decided.
func refuseTelemetry() {
	if _, decided := os.LookupEnv(envTelemetry); !decided {
		os.Setenv(envTelemetry, "1") // also in C's environment; it fails for names that are none
	}
}
