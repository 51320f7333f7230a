package load

func newNetHTTP(ClientConfig) Client         { panic("to be written") }
func newFastHTTP(ClientConfig) Client        { panic("to be written") }
func newEngine(ClientConfig) (Client, error) { panic("to be written") }
