import { defineConfig } from "vitest/config";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: "dist",
    // Names without a hash: the binary embeds these files, and serves each with an ETag.
    rollupOptions: {
      output: {
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
        inlineDynamicImports: true,
      },
    },
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
  },
  server: {
    // `npm run dev` beside `keepsight run`.
    proxy: { "/v1": "http://127.0.0.1:8787" },
  },
  test: {
    environment: "happy-dom",
    include: ["src/tests/**/*.spec.ts"],
  },
});
