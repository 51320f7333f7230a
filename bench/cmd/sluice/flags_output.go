package main

import (
	"errors"
	"io"
	"os"
)

// writable is a report that people and programs can read.
type writable interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
}

// jsonFlag says where a report goes as JSON: nowhere, to a file, or, with "-", to the standard
// output in place of the text.
type jsonFlag string

// check finds out before the measurement, not after it, whether its result can be written.
func (name jsonFlag) check() error {
	if name == "" || name == "-" {
		return nil
	}
	file, err := os.OpenFile(string(name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

func (name jsonFlag) write(stdout io.Writer, report writable) error {
	if name == "-" {
		return report.WriteJSON(stdout)
	}
	if err := report.WriteText(stdout); err != nil || name == "" {
		return err
	}
	file, err := os.Create(string(name))
	if err != nil {
		return err
	}
	return errors.Join(report.WriteJSON(file), file.Close())
}
