import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./parts/parts.css";
import "./parts/fills.css";
import "./parts/lists.css";
import "./shell/shell.css";
import { start } from "./shell/app";
import { httpSource } from "./source";

start(httpSource());
