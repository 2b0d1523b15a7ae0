// supabase-js asks for WebSocket when it is loaded, also where nobody subscribes to anything; before version 22 Node has none.
globalThis.WebSocket ??= class WebSocket {};
