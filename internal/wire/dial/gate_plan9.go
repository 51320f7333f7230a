package dial

// refusedHere are the errors by which this machine itself opens no connection; here they
// have no names.
var refusedHere []error
