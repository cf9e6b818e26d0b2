// Package tensorboard writes TensorBoard's event files: records of TensorFlow's
// TFRecord format, each an Event of its event.proto.
package tensorboard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Scalar is a number with its name. TensorBoard groups names by what precedes
// their first slash.
type Scalar struct {
	Tag   string
	Value float64 // kept as float32
}

// Writer writes an event file.
type Writer struct {
	file io.WriteCloser
	now  func() time.Time
	err  error // the first write error
}

// Create begins an event file in a folder and returns its path. TensorBoard
// shows the files of a folder as one run, in the order of their names. From an
// older file it drops what is of step first or later: a run that continues from
// a checkpoint takes those steps again.
func Create(folder string, first int) (w *Writer, path string, err error) {
	now := time.Now()
	path = filepath.Join(folder, fmt.Sprintf("events.out.tfevents.%010d.%09d", now.Unix(), now.Nanosecond()))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, "", err
	}
	w = &Writer{file: file, now: time.Now}
	w.begin(first)
	if w.err != nil {
		w.Close()
		os.Remove(path)
	}
	return w, path, w.err
}

// begin writes the version of the file, and that steps from first on are new.
func (w *Writer) begin(first int) {
	const version, sessionLog, status, start = 3, 7, 1, 1
	w.write(0, text(nil, version, "brain.Event:2"))
	w.write(first, text(nil, sessionLog, string(number(nil, status, start))))
}

// Scalars writes the numbers of a step. It returns the first error of the file.
func (w *Writer) Scalars(step int, scalars []Scalar) error {
	const summary, value, tag, simpleValue = 5, 1, 1, 2
	var values []byte
	for _, s := range scalars {
		v := text(nil, tag, s.Tag)
		v = append(v, simpleValue<<3|fixed32)
		v = binary.LittleEndian.AppendUint32(v, math.Float32bits(float32(s.Value)))
		values = text(values, value, string(v))
	}
	w.write(step, text(nil, summary, string(values)))
	return w.err
}

// Close closes the file and returns the first error.
func (w *Writer) Close() error {
	if err := w.file.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}

// write writes an event of now.
func (w *Writer) write(step int, what []byte) {
	const wallTime, stepField = 1, 2
	event := append([]byte(nil), wallTime<<3|fixed64)
	event = binary.LittleEndian.AppendUint64(event, math.Float64bits(float64(w.now().UnixMicro())/1e6))
	if step > 0 { // 0 is what a missing field means
		event = number(event, stepField, uint64(step))
	}
	event = append(event, what...)
	if w.err == nil {
		_, w.err = w.file.Write(record(event))
	}
}

// record is TFRecord's frame: the length, its checksum, the data and theirs.
func record(data []byte) []byte {
	r := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	r = binary.LittleEndian.AppendUint32(r, masked(r))
	r = append(r, data...)
	return binary.LittleEndian.AppendUint32(r, masked(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is TFRecord's form of CRC-32C: rotated, plus a constant.
func masked(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// Wire types of protocol buffers.
const (
	fixed64  = 1
	measured = 2 // bytes after their length
	fixed32  = 5
)

// number appends a field with an integer.
func number(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(append(b, byte(field<<3)), v)
}

// text appends a field with bytes.
func text(b []byte, field int, v string) []byte {
	return append(binary.AppendUvarint(append(b, byte(field<<3|measured)), uint64(len(v))), v...)
}
