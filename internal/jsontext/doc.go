// Package jsontext is encoding/json with three habits that prices, quantities and
// ids need:
//
//   - numbers keep their digits: what is decoded into an interface is a
//     json.Number, not a float64 that rounds an id of 18 digits, and what is
//     encoded has no exponent, which exchanges refuse;
//   - the case of a name matters where it makes a difference: of "l" and "L" in one
//     object, a field called l is given l, whichever comes last. A name that only
//     differs in case from a field's is still that field's if there is no better;
//   - a byte order mark before the document is passed over (RFC 8259, section 8.1).
//
// Everything else is as encoding/json does it.
package jsontext
