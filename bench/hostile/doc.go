// Package hostile plays servers, proxies and connections that do what they should not
// against whole engines, by the engine's public doors alone.
package hostile
