// Package signals keeps the process's handling of signals while foreign
// libraries load.
package signals
