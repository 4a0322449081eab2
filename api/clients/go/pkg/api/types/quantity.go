package types

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Quantity is a size or a duration as it was given: a text such as "256M" or "30s", or a bare number.
type Quantity string

// UnmarshalJSON takes a text, a number or null.
func (q *Quantity) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*q = ""
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*q = Quantity(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return fmt.Errorf("expected a text or a number: %w", err)
	}
	*q = Quantity(number.String())
	return nil
}
