package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sluice-engine/sluice/bench/results"
)

// orOutput stands behind what a flag says of its file.
const orOutput = "; .gz compresses, and - is standard output: people are told on standard error then"

// outputs are where a verb writes what has no file of its own.
type outputs struct {
	people   io.Writer // what it tells them
	programs io.Writer // what a flag with "-" asks for
}

// write writes the file of a flag, unless it has no name: compressed if the name ends in .gz, and
// to the standard output if it is "-".
func (o outputs) write(flag, name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	if err := o.writeFile(name, write); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

func (o outputs) writeFile(name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(o.programs)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if !results.Compressed(name) {
		return errors.Join(write(file), file.Close())
	}
	packer := gzip.NewWriter(file)
	return errors.Join(write(packer), packer.Close(), file.Close())
}

// asJSON writes a value, for outputs.write.
func asJSON(value any) func(io.Writer) error {
	return func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
}

// writable is a report that people and programs can read.
type writable interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
}

// jsonFlag says where a report goes as JSON: nowhere, to a file, or, with "-", to the standard
// output in place of the text.
type jsonFlag string

func (name jsonFlag) write(stdout io.Writer, report writable) error {
	var told error
	if name != "-" {
		told = report.WriteText(stdout)
	}
	return errors.Join(told, outputs{programs: stdout}.write("--json", string(name), report.WriteJSON))
}
