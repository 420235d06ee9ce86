import { defineConfig } from "vite";

export default defineConfig({
  // Relative: the page works below any path it is mounted at.
  base: "./",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: false,
  },
});
