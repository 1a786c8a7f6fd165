import '@xyflow/react/dist/style.css';
import { useComputedColorScheme } from '@mantine/core';
import { Background, Controls, ReactFlow, useReactFlow, type Edge } from '@xyflow/react';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import classes from './Graph.module.css';
import type { Line, Spot } from './layout';
import { NODE_TYPES, type SpotNode } from './nodes';

interface Props {
  spots: Spot[];
  lines: Line[];
  onToggle: (cluster: number) => void;
}

/** Keeps all in sight: members are drawn when they have been read, and clusters are opened and closed. */
function Fit({ count }: { count: number }) {
  const { fitView } = useReactFlow();
  useEffect(() => {
    void fitView({ maxZoom: 1 });
  }, [count, fitView]);
  return null;
}

/** Draws spots and lines; what a spot offers are ordinary buttons and links. */
export function Graph({ spots, lines, onToggle }: Props) {
  const { t } = useTranslation();
  const scheme = useComputedColorScheme('light');
  const nodes = spots.map((spot): SpotNode => ({
    id: spot.id,
    type: 'spot',
    position: { x: spot.x, y: spot.y },
    data: { spot, onToggle },
  }));
  const edges = lines.map(({ from, to, isAlive }): Edge => ({
    id: `${from} ${to}`,
    source: from,
    target: to,
    className: isAlive ? (classes.alive ?? '') : (classes.silent ?? ''),
  }));
  return (
    <section className={classes.graph} aria-label={t('topology.graph')}>
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        colorMode={scheme}
        minZoom={0.1}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        preventScrolling={false}
        zoomOnScroll={false}
      >
        <Fit count={spots.length} />
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </section>
  );
}
