// The parts of Apache ECharts that the page draws with.
import * as echarts from "echarts/core";
import { LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

echarts.use([LineChart, ScatterChart, GridComponent, TooltipComponent, SVGRenderer]);
export const init = echarts.init;
