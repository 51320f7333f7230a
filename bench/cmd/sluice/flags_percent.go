package main

import (
	"fmt"
	"strconv"
	"strings"
)

// percent is a share that is written as 2% or 2.
type percent float64

// String is part of pflag.Value.
func (p *percent) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatFloat(100*float64(*p), 'g', -1, 64) + "%"
}

// Set is part of pflag.Value.
func (p *percent) Set(text string) error {
	digits := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%"))
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.Trim(digits, "0123456789.") != "" || x <= 0 || x > 1000 {
		return fmt.Errorf("%q is no percentage above 0 such as 5%%", text)
	}
	*p = percent(x / 100)
	return nil
}

// Type is part of pflag.Value.
func (p *percent) Type() string { return "percent" }
