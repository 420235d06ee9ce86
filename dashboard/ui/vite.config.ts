import { defineConfig } from "vite";
import { pageStyles } from "./page_styles";

export default defineConfig({
  // Relative: the page works below any path it is mounted at.
  base: "./",
  plugins: [pageStyles()],
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: false,
    // Pages are chunks; their styles are so small that one file has them all.
    cssCodeSplit: false,
  },
});
