// `next/headers` for one visitor: what the guide's files ask of it.
export const jar = new Map();

export async function cookies() {
  return {
    get: (name) => (jar.has(name) ? { name, value: jar.get(name).value } : undefined),
    set: (name, value, options) => (options.maxAge === 0 ? jar.delete(name) : jar.set(name, { value, options })),
  };
}
