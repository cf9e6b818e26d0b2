// Package output decides what may be written where: nothing that is read, that
// belongs to a run or to another program is destroyed. Package format/store
// knows files and runs; this one knows what the files hold.
package output
